#include "media.hpp"

#include <algorithm>
#include <initializer_list>

namespace json = boost::json;

namespace outlay::detail {

namespace {

std::string_view text_of(const json::object& object, std::string_view key) noexcept {
  const json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string_view(found->get_string()) : std::string_view();
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> all) noexcept {
  return std::find(all.begin(), all.end(), text) != all.end();
}

bool has_one_of(std::string_view text, std::initializer_list<std::string_view> all) noexcept {
  return std::any_of(all.begin(), all.end(), [&](std::string_view one) { return text.find(one) != text.npos; });
}

// A short name: the ending of a file, as `format` has it.
std::optional<Media> by_format(std::string_view format) noexcept {
  if (one_of(format, {"png", "jpeg", "jpg", "gif", "webp"})) return Media::image;
  if (one_of(format, {"wav", "pcm", "pcm16"})) return Media::wave;
  if (one_of(format, {"mp3", "ogg", "opus", "flac", "aac", "m4a"})) return Media::audio;
  if (one_of(format, {"mp4", "mov", "mkv", "webm", "mpeg", "mpg", "flv", "wmv", "three_gp"})) return Media::video;
  if (one_of(format, {"txt", "md", "csv", "html", "xml", "json"})) return Media::text;
  if (one_of(format, {"pdf", "doc", "docx", "xls", "xlsx"})) return Media::file;
  return std::nullopt;
}

// The name of a member, or the type of a part.
std::optional<Media> by_word(std::string_view word) noexcept {
  if (word.find("image") != word.npos) return Media::image;
  if (word.find("audio") != word.npos) return Media::audio;
  if (word.find("video") != word.npos) return Media::video;
  if (has_one_of(word, {"document", "file", "pdf"})) return Media::file;
  return std::nullopt;
}

}  // namespace

Media media_of(std::string_view mime) noexcept {
  if (mime.starts_with("image/")) return Media::image;
  if (mime.starts_with("audio/")) return has_one_of(mime, {"wav", "pcm", "/l16"}) ? Media::wave : Media::audio;
  if (mime.starts_with("video/")) return Media::video;
  const bool is_text = mime.starts_with("text/") ||
                       (mime.starts_with("application/") && has_one_of(mime, {"json", "xml", "yaml", "javascript"}));
  // Office documents are XML in a name alone.
  return is_text && mime.find("officedocument") == mime.npos ? Media::text : Media::file;
}

std::optional<Media> media_of(const json::object& object, std::string_view name, std::optional<Media> around) noexcept {
  for (const std::string_view key : {"media_type", "mimeType", "mime_type"})
    if (const std::string_view mime = text_of(object, key); !mime.empty()) return media_of(mime);
  if (const auto media = by_format(text_of(object, "format"))) return media;
  if (const auto media = by_word(name)) return media;
  if (const auto media = by_word(text_of(object, "type"))) return media;
  return around;
}

DataUrl split_data_url(std::string_view text) noexcept {
  DataUrl url;
  text.remove_prefix(std::min<std::size_t>(5, text.size()));
  const std::string_view head = text.substr(0, text.find(','));
  url.data = text.substr(std::min(text.size(), head.size() + 1));
  url.mime = head.substr(0, head.find(';'));
  url.base64 = head.ends_with(";base64");
  return url;
}

}  // namespace outlay::detail

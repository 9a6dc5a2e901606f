// A streamed answer over libcurl inside a budget. The handle, the write callback and its buffer are the program's own.
//
// With OPENAI_BASE_URL (and OPENAI_API_KEY) set it talks to that provider instead of the local model.
// exit code: 0 if the answer came or a budget cut it, 1 for anything else.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <outlay/curl.hpp>
#include <string>

#include "local_llm/launch.hpp"

using namespace outlay::literals;

std::size_t print(char* data, std::size_t, std::size_t size, void* count) {
  *static_cast<std::size_t*>(count) += size;
  std::cout.write(data, static_cast<std::streamsize>(size));
  return size;
}

int main() try {
  const char* base = std::getenv("OPENAI_BASE_URL");
  const char* key = std::getenv("OPENAI_API_KEY");
  std::optional<LocalLlm> model;
  if (!base) model.emplace();
  const std::string url = (base ? base : model->url()) + "/chat/completions";

  const std::unique_ptr<CURL, void (*)(CURL*)> easy(curl_easy_init(), curl_easy_cleanup);
  curl_slist* fields = curl_slist_append(nullptr, "Content-Type: application/json");
  if (key) fields = curl_slist_append(fields, (std::string("Authorization: Bearer ") + key).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> freed(fields, curl_slist_free_all);
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, fields);

  outlay::Budget budget({.name = "curl", .usd = 0.01_usd});
  std::size_t bytes = 0;
  const outlay::CurlResult result = outlay::curl_perform(
      easy.get(), outlay::Api::openai_chat,
      R"({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "Where is my refund?"}]})",
      {.write = print, .write_data = &bytes});
  if (result.failure) std::cout << result.failure->message() << '\n';
  std::cout << bytes << " bytes, spent " << budget.spent().usd << '\n';
  return result.status == 200 && (result.code == CURLE_OK || result.cut) ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

// AWS's binary event stream: raw bytes, and messages made whole around them, since no mutation finds a checksum.
#include "fuzz_meter.hpp"
#include "json/framing.hpp"

namespace {

void put_u32(std::string& out, std::size_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xFFU);
}

std::string message(std::string_view headers, std::string_view payload) {
  std::string out;
  put_u32(out, 16 + headers.size() + payload.size());
  put_u32(out, headers.size());
  put_u32(out, outlay::detail::crc32(out));
  out += headers;
  out += payload;
  put_u32(out, outlay::detail::crc32(out));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (data[0] % 4 == 0) {
    outlay_fuzz::check(outlay::Api::bedrock_converse, std::string(1, '\0') + std::string(text), data[1]);
    return 0;
  }
  // Lines are payloads, each behind as many bytes of headers as the second byte says.
  std::string stream;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t headers = data[0] % 4 == 1 ? 0 : std::min<std::size_t>(data[1] % 64U, line.size());
    stream += message(line.substr(0, headers), line.substr(headers));
  }
  outlay_fuzz::check(outlay::Api::bedrock_converse, stream, data[1]);
  return 0;
}

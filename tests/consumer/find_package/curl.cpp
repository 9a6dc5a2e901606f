#include <outlay/curl.hpp>

int main() {
  outlay::Budget budget({.name = "consumer", .calls = 1});
  CURL* const easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, "http://127.0.0.1:9/v1/chat/completions");  // where no server is
  const outlay::CurlResult result =
      outlay::curl_perform(easy, outlay::Api::openai_chat, R"({"model":"gpt-4o-mini","messages":[]})");
  curl_easy_cleanup(easy);
  return result.code == CURLE_COULDNT_CONNECT && budget.spent().calls == 0 ? 0 : 1;
}

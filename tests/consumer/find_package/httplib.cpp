#include <outlay/httplib.hpp>

int main() {
  outlay::Budget budget({.name = "consumer", .calls = 1});
  httplib::Client client("http://127.0.0.1:9");  // where no server is
  const outlay::HttplibResult result = outlay::httplib_post(client, outlay::Api::openai_chat, "/v1/chat/completions",
                                                            R"({"model":"gpt-4o-mini","messages":[]})");
  return result.error == httplib::Error::Connection && budget.spent().calls == 0 ? 0 : 1;
}

// guard() over raw libcurl. usage: shim_curl http://127.0.0.1:PORT/v1/chat/completions, with OPENAI_API_KEY
#include <curl/curl.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <iostream>
#include <outlay/json.hpp>
#include <outlay/outlay.hpp>
namespace json = boost::json;
using namespace outlay::literals;

std::size_t append(char* data, std::size_t, std::size_t size, void* to) {
  static_cast<std::string*>(to)->append(data, size);
  return size;
}
int main(int argc, char** argv) {
  const char* key = std::getenv("OPENAI_API_KEY");
  const auto post = [&](const json::object& body) {
    std::string reply;
    const std::string text = json::serialize(body);
    CURL* curl = curl_easy_init();
    curl_slist* fields = curl_slist_append(nullptr, "Content-Type: application/json");
    if (key) fields = curl_slist_append(fields, (std::string("Authorization: Bearer ") + key).c_str());
    curl_easy_setopt(curl, CURLOPT_URL, argc == 2 ? argv[1] : "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
    long status = 0;
    if (curl_easy_perform(curl) == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(fields), curl_easy_cleanup(curl);
    return outlay::HttpReply{static_cast<int>(status), status ? json::parse(reply) : json::value()};
  };
  outlay::Budget budget({.name = "shim", .usd = 0.01_usd});
  const json::value message{{"role", "user"}, {"content", "Where is my refund?"}};
  const json::object request{{"model", "gpt-4o"}, {"max_completion_tokens", 100}, {"messages", {message}}};
  const outlay::HttpReply reply = outlay::guard(outlay::Api::openai_chat, request, post);
  std::cout << json::serialize(reply.body) << "\nspent " << budget.spent().usd << '\n';
}

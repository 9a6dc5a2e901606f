// guard() around Poco's HTTP client. Built where Poco is installed.
//
// exit code: 0 if the answer came, 1 for anything else.
#include <Poco/Exception.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/StreamCopier.h>
#include <Poco/URI.h>

#include <iostream>
#include <outlay/json.hpp>
#include <string>

#include "local_llm/launch.hpp"

using namespace outlay::literals;

int main() try {
  const LocalLlm model;
  const Poco::URI url(model.url());
  Poco::Net::HTTPClientSession session(url.getHost(), url.getPort());
  const auto post = [&](const std::string& body) -> outlay::TextReply {
    Poco::Net::HTTPRequest request("POST", "/v1/chat/completions", "HTTP/1.1");
    request.setContentType("application/json");
    request.setContentLength(static_cast<std::streamsize>(body.size()));
    std::ostream* out = nullptr;
    try {
      out = &session.sendRequest(request);
    } catch (const Poco::Exception&) {
      throw outlay::NotBilled();
    }
    *out << body << std::flush;
    Poco::Net::HTTPResponse response;
    outlay::TextReply reply;
    Poco::StreamCopier::copyToString(session.receiveResponse(response), reply.body);
    reply.status = response.getStatus();
    return reply;
  };

  outlay::Budget budget({.name = "poco", .usd = 0.01_usd});
  const std::string question =
      R"({"model": "gpt-4o", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "Where is my refund?"}]})";
  const outlay::TextReply reply = outlay::guard(outlay::Api::openai_chat, question, post);
  std::cout << reply.body << "\nspent " << budget.spent().usd << '\n';
  return reply.status == 200 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

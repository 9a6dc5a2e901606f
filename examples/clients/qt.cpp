// A Transfer around a reply of Qt's network access manager. Built where Qt 6 is installed, with QT_NO_KEYWORDS, since Qt's keyword
// `forever` is a name of outlay's.
//
// exit code: 0 if the answer came, 1 for anything else.
#include <QCoreApplication>
#include <QNetworkAccessManager>
#include <QNetworkReply>
#include <QNetworkRequest>
#include <exception>
#include <iostream>
#include <memory>
#include <outlay/json.hpp>
#include <string>

#include "local_llm/launch.hpp"

using namespace outlay::literals;

void show(const outlay::TransferResult& result) {
  std::cout << result.body << '\n';
  QCoreApplication::exit(result.status == 200 ? 0 : 1);
}

struct Exchange {
  explicit Exchange(const std::string& body) : call(outlay::Api::openai_chat, body) {}
  outlay::GuardedCall call;
  outlay::Transfer transfer{call};
};
void send(QNetworkAccessManager& manager, const QNetworkRequest& request, const std::string& body) {
  auto exchange = std::make_shared<Exchange>(body);
  QNetworkReply* const reply = manager.post(request, QByteArray::fromStdString(exchange->call.body_text()));
  QObject::connect(reply, &QNetworkReply::metaDataChanged, [=] {
    exchange->transfer.head(reply->attribute(QNetworkRequest::HttpStatusCodeAttribute).toInt());
  });
  QObject::connect(reply, &QNetworkReply::readyRead, [=] {
    if (!exchange->transfer.body(reply->readAll().toStdString())) reply->abort();
  });
  QObject::connect(reply, &QNetworkReply::finished, [=] {
    const QNetworkReply::NetworkError error = reply->error();
    const bool not_sent = error == QNetworkReply::ConnectionRefusedError || error == QNetworkReply::HostNotFoundError ||
                          error == QNetworkReply::SslHandshakeFailedError;
    const outlay::TransferResult result =
        exchange->transfer.end(error == QNetworkReply::NoError ? outlay::TransferEnd::complete
                               : not_sent                      ? outlay::TransferEnd::not_sent
                                                               : outlay::TransferEnd::broken);
    reply->deleteLater();
    show(result);
  });
}

int main(int argc, char** argv) try {
  QCoreApplication application(argc, argv);
  const LocalLlm model;
  QNetworkRequest request(QUrl(QString::fromStdString(model.url() + "/chat/completions")));
  request.setHeader(QNetworkRequest::ContentTypeHeader, "application/json");
  QNetworkAccessManager manager;

  outlay::Budget budget({.name = "qt", .usd = 0.01_usd});
  send(manager, request, R"({
    "model": "gpt-4o", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "Where is my refund?"}]})");
  const int code = QCoreApplication::exec();
  std::cout << "spent " << budget.spent().usd << '\n';
  return code;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

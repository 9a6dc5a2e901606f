#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "gateway_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using namespace test;

namespace {

/// Files of a certificate and its key, which may be replaced.
class Identity {
 public:
  explicit Identity(const std::string& host) { replace(host); }
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  ~Identity() {
    std::error_code ignored;
    std::filesystem::remove(certificate, ignored);
    std::filesystem::remove(key, ignored);
  }
  void replace(const std::string& host) {
    const auto [pem, secret] = self_signed(host);
    std::ofstream(certificate) << pem;
    std::ofstream(key) << secret;
  }

  const std::string certificate = name("certificate"), key = name("key");

 private:
  static std::string name(const std::string& what) {
    static int number = 0;
    return std::filesystem::temp_directory_path() /
           ("outlay_gateway_" + std::to_string(::getpid()) + "_" + std::to_string(++number) + "_" + what + ".pem");
  }
};

/// A client that speaks TLS, and accepts any certificate.
class TlsWire {
 public:
  explicit TlsWire(std::uint16_t port) {
    context_.set_verify_mode(ssl::verify_none);
    constexpr unsigned char offered[] = "\x02h2\x08http/1.1";
    SSL_set_alpn_protos(stream_.native_handle(), offered, sizeof offered - 1);
    stream_.lowest_layer().connect({asio::ip::address_v4::loopback(), port});
    stream_.handshake(ssl::stream_base::client);
  }
  void send(std::string_view text) { asio::write(stream_, asio::buffer(text.data(), text.size())); }
  int status() {
    namespace http = boost::beast::http;
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::size_t{64} << 20);
    boost::system::error_code error;
    http::read(stream_, buffer_, parser, error);
    body = parser.get().body();
    return error ? 0 : static_cast<int>(parser.get().result_int());
  }
  /// Whom the certificate is for.
  std::string host() {
    char text[64] = {};
    X509* const shown = SSL_get1_peer_certificate(stream_.native_handle());
    X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, text, sizeof text);
    X509_free(shown);
    return text;
  }
  std::string protocol() {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(stream_.native_handle(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// How the gateway has ended the connection: `asio.ssl.stream: stream truncated` is one without close_notify.
  boost::system::error_code end() {
    char byte{};
    boost::system::error_code error;
    stream_.read_some(asio::buffer(&byte, 1), error);
    return error;
  }
  void close() { stream_.lowest_layer().close(); }

  std::string body{};

 private:
  asio::io_context io_{};
  ssl::context context_{ssl::context::tls_client};
  ssl::stream<asio::ip::tcp::socket> stream_{io_, context_};
  boost::beast::flat_buffer buffer_{};
};

outlay::GatewayOptions with(const Identity& identity) {
  outlay::GatewayOptions options;
  options.tls_certificate = identity.certificate;
  options.tls_key = identity.key;
  return options;
}

}  // namespace

TEST_CASE("gateway: clients are served by TLS", "[gateway][tls]") {
  const FaultServer upstream = chat_upstream();
  const Identity identity("gateway.test");
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, with(identity));
  CHECK(gateway.gateway().url().starts_with("https://127.0.0.1:"));
  const std::string text = post("/v1/chat/completions", chat_text());
  TlsWire wire(gateway.port());
  CHECK(wire.host() == "gateway.test");
  CHECK(wire.protocol() == "http/1.1");
  for (int i = 0; i < 3; ++i) {
    wire.send(text);
    REQUIRE(wire.status() == 200);
    CHECK(wire.body == chat_reply_body());
  }
  // Two at once, and each in small pieces.
  wire.send(text + text);
  CHECK(wire.status() == 200);
  CHECK(wire.status() == 200);
  for (const char c : text) wire.send({&c, 1});
  CHECK(wire.status() == 200);
  // A long body, in many records.
  wire.send(post("/v1/chat/completions", std::string(1 << 20, ' ') + chat_text()));
  CHECK(wire.status() == 200);
  CHECK(upstream.requests().size() == 7);
  // It ends as TLS ends.
  wire.send(get("/outlay/health", "Connection: close\r\n"));
  CHECK(wire.status() == 200);
  CHECK(wire.end() == asio::error::eof);
  // What is no TLS is closed, and the next client is served.
  CHECK(ask(gateway, text).status == 0);
  TlsWire again(gateway.port());
  again.send(text);
  CHECK(again.status() == 200);
}

TEST_CASE("gateway: a client of TLS that hangs up closes the upstream at once", "[gateway][tls]") {
  const FaultServer upstream([](std::size_t, std::string_view) { return answer("", Plan::Then::stall); });
  const Identity identity("gateway.test");
  RunningGateway gateway(upstream.url(), outlay::BudgetOptions{.usd = 1_usd}, with(identity));
  TlsWire wire(gateway.port());
  wire.send(post("/v1/chat/completions", chat_text()));
  while (upstream.requests().empty()) std::this_thread::yield();
  wire.close();
  CHECK(upstream.wait_for_open(0));
  gateway.stop();
  REQUIRE(gateway.ledger().records().size() == 1);
  CHECK(gateway.ledger().records()[0].status == outlay::RecordStatus::indeterminate);
}

TEST_CASE("gateway: reload() reads certificate and key again, and connections go on", "[gateway][tls]") {
  const FaultServer upstream = chat_upstream();
  Identity identity("first.test");
  outlay::GatewayOptions options = with(identity);
  options.upstreams = {{.name = "openai", .url = upstream.url() + "/v1", .paths = {"/v1/"}}};
  options.drain = std::chrono::milliseconds(0);
  RunningGateway gateway({}, outlay::BudgetOptions{.usd = 1_usd}, options, {}, true);
  TlsWire old(gateway.port());
  CHECK(old.host() == "first.test");
  identity.replace("second.test");
  gateway.gateway().reload(options);
  CHECK(TlsWire(gateway.port()).host() == "second.test");
  std::ofstream(identity.certificate) << "nothing";
  CHECK_THROWS_AS(gateway.gateway().reload(options), outlay::ConfigError);
  CHECK(TlsWire(gateway.port()).host() == "second.test");
  outlay::GatewayOptions plain = options;
  plain.tls_certificate = plain.tls_key = "";
  CHECK_THROWS_AS(gateway.gateway().reload(plain), outlay::ConfigError);
  old.send(post("/v1/chat/completions", chat_text()));
  CHECK(old.status() == 200);
}

TEST_CASE("gateway: what is wrong with a certificate is named", "[gateway][tls]") {
  asio::io_context io;
  const Identity identity("gateway.test"), other("other.test");
  const auto message = [&](const std::string& certificate, const std::string& key) -> std::string {
    try {
      const outlay::Gateway gateway(io.get_executor(), {.tls_certificate = certificate, .tls_key = key});
    } catch (const outlay::ConfigError& error) {
      return error.what();
    }
    return {};
  };
  CHECK_THAT(message(identity.certificate, ""), ContainsSubstring("belong together"));
  CHECK_THAT(message("/nowhere.pem", identity.key),
             ContainsSubstring("tls_certificate \"/nowhere.pem\" cannot be read"));
  CHECK_THAT(message(identity.certificate, "/nowhere.pem"),
             ContainsSubstring("tls_key \"/nowhere.pem\" cannot be read"));
  CHECK_THAT(message(identity.certificate, other.key), ContainsSubstring("tls_key \"" + other.key));
  CHECK_THAT(message(identity.certificate, identity.key), Catch::Matchers::Equals(""));
}

#include "support/fault_server.hpp"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

namespace test {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

template <class T, void (*free_it)(T*)>
struct Freed {
  void operator()(T* object) const { free_it(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509, X509_free>>;

template <class Write>
std::string to_pem(Write write) {
  const std::unique_ptr<BIO, void (*)(BIO*)> memory(BIO_new(BIO_s_mem()), [](BIO* bio) { BIO_free(bio); });
  if (write(memory.get()) != 1) throw std::runtime_error("cannot write PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

std::pair<std::string, std::string> self_signed(const std::string& host) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr certificate(X509_new());
  if (!key || !certificate) throw std::runtime_error("cannot make a key");
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(host.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  const std::string alternative = "DNS:" + host;
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative.c_str());
  X509_add_ext(certificate.get(), extension, -1);
  X509_EXTENSION_free(extension);
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) throw std::runtime_error("cannot sign");
  return {to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }), to_pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

struct FaultServer::State {
  State(Script s, std::uint16_t port) : script(std::move(s)), acceptor(io, {asio::ip::address_v4::loopback(), port}) {}

  asio::awaitable<void> accept() {
    for (;;) {
      error_code error;
      tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) co_return;
      if (error) continue;
      {
        const std::lock_guard lock(mutex);
        ++connections;
        ++open;
      }
      asio::co_spawn(io, serve(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<void> serve(tcp::socket socket) {
    const auto leave = [this](void*) {
      const std::lock_guard lock(mutex);
      --open;
      changed.notify_all();
    };
    const std::unique_ptr<void, decltype(leave)> left(this, leave);
    socket.set_option(tcp::no_delay(true));
    if (tls) {
      asio::ssl::stream<tcp::socket&> stream(socket, *tls);
      error_code error;
      co_await stream.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, error));
      if (!error) co_await talk(stream, socket);
    } else {
      co_await talk(socket, socket);
    }
  }

  template <class Stream>
  asio::awaitable<void> talk(Stream& stream, tcp::socket& socket) {
    std::string buffer;
    for (;;) {
      std::string request;
      if (!blind) {
        error_code error;
        const std::size_t head = co_await asio::async_read_until(stream, asio::dynamic_buffer(buffer), "\r\n\r\n",
                                                                 asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        const std::size_t whole = head + content_length(std::string_view(buffer).substr(0, head));
        while (buffer.size() < whole && !error) {
          char more[4096];
          const std::size_t got =
              co_await stream.async_read_some(asio::buffer(more), asio::redirect_error(asio::use_awaitable, error));
          buffer.append(more, got);
        }
        if (error) co_return;
        request = buffer.substr(0, whole);
        buffer.erase(0, whole);
      }
      const Plan plan = take(request);
      const bool written = co_await write(stream, plan);
      if (!written) co_return;
      if (plan.then == Plan::Then::stall) {
        error_code error;
        char byte{};
        while (!error)
          co_await stream.async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
        co_return;
      }
      if (plan.then == Plan::Then::reset) {
        socket.set_option(asio::socket_base::linger(true, 0));
        socket.close();
        co_return;
      }
      if (plan.then == Plan::Then::close) {
        // Half-closed first, then read to the end: else unread bytes would turn the close into a reset.
        error_code error;
        socket.shutdown(tcp::socket::shutdown_send, error);
        char rest[512];
        while (!error)
          co_await socket.async_read_some(asio::buffer(rest), asio::redirect_error(asio::use_awaitable, error));
        co_return;
      }
    }
  }

  template <class Stream>
  asio::awaitable<bool> write(Stream& stream, const Plan& plan) {
    std::string_view rest = std::string_view(plan.bytes).substr(0, plan.stop_at);
    for (bool first = true;; first = false) {
      if (rest.empty() && plan.endless) rest = plan.repeat;
      if (rest.empty()) co_return true;
      if (!first && plan.pause.count() > 0) {
        asio::steady_timer timer(io, plan.pause);
        error_code ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      }
      const std::string_view piece = rest.substr(0, plan.per_write);
      const asio::const_buffer bytes = asio::buffer(piece.data(), piece.size());
      error_code error;
      co_await asio::async_write(stream, bytes, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return false;
      rest.remove_prefix(piece.size());
    }
  }

  static std::size_t content_length(std::string_view head) {
    std::string lower(head);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    const std::size_t at = lower.find("\r\ncontent-length:");
    return at == lower.npos ? 0 : std::strtoul(lower.c_str() + at + 17, nullptr, 10);
  }

  Plan take(const std::string& request) {
    const Plan plan = script(number, request);
    ++number;
    const std::lock_guard lock(mutex);
    if (!request.empty()) requests.push_back(request);
    return plan;
  }

  Script script;
  bool blind = false;
  std::string certificate{};
  std::size_t number = 0;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::vector<std::string> requests{};
  std::size_t connections = 0;
  std::size_t open = 0;

  asio::io_context io{1};  // after what its coroutines use: they end with it
  tcp::acceptor acceptor;
  std::optional<asio::ssl::context> tls{};
  std::thread thread{};
};

FaultServer::FaultServer(Script script) : FaultServer(std::move(script), Options{}) {}

FaultServer::FaultServer(Script script, const Options& options)
    : state_(std::make_shared<State>(std::move(script), options.port)) {
  if (options.tls) {
    std::string certificate = options.certificate, key = options.private_key;
    if (certificate.empty()) std::tie(certificate, key) = self_signed(options.certificate_host);
    state_->certificate = certificate;
    state_->tls.emplace(asio::ssl::context::tls_server);
    state_->tls->use_certificate_chain(asio::buffer(certificate));
    state_->tls->use_private_key(asio::buffer(key), asio::ssl::context::pem);
    if (options.only_old_tls) {
      SSL_CTX_set_security_level(state_->tls->native_handle(), 0);
      SSL_CTX_set_max_proto_version(state_->tls->native_handle(), TLS1_1_VERSION);
    }
  }
  State& state = *state_;
  state.blind = options.blind;
  asio::co_spawn(state.io, state.accept(), asio::detached);
  state.thread = std::thread([&state] { state.io.run(); });
}

FaultServer::~FaultServer() {
  state_->io.stop();
  state_->thread.join();
}

std::uint16_t FaultServer::port() const noexcept {
  error_code ignored;
  return state_->acceptor.local_endpoint(ignored).port();
}

std::string FaultServer::url() const {
  return (state_->tls ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(port());
}

std::string FaultServer::certificate() const { return state_->certificate; }

std::vector<std::string> FaultServer::requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->requests;
}

std::size_t FaultServer::connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->connections;
}

std::size_t FaultServer::open_connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->open;
}

bool FaultServer::wait_for_open(std::size_t count, std::chrono::milliseconds limit) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, limit, [&] { return state_->open == count; });
}

std::uint16_t closed_port() {
  asio::io_context io;
  const tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  return acceptor.local_endpoint().port();
}

std::string http_reply(int status, std::string_view body, std::string_view fields) {
  std::string reply = "HTTP/1.1 " + std::to_string(status) + " Test\r\nContent-Type: application/json\r\n";
  reply.append(fields).append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return reply;
}

std::string chunked_reply(const std::vector<std::string>& pieces, std::string_view content_type) {
  std::string reply = "HTTP/1.1 200 OK\r\nContent-Type: ";
  reply.append(content_type).append("\r\nTransfer-Encoding: chunked\r\n\r\n");
  char size[20];
  for (const std::string& piece : pieces) {
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    reply.append(size).append(piece).append("\r\n");
  }
  return reply + "0\r\n\r\n";
}

}  // namespace test

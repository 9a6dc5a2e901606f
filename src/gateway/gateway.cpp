#include "outlay/gateway.hpp"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <mutex>
#include <unordered_set>

#include "gateway/answer.hpp"
#include "gateway/relay.hpp"
#include "gateway/server.hpp"
#include "outlay/error.hpp"
#include "outlay/ledger.hpp"
#include "outlay/log.hpp"

namespace outlay {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using gateway::detail::Answer;
using gateway::detail::Client;
using gateway::detail::Counted;
using gateway::detail::Incoming;
using gateway::detail::Relay;
using gateway::detail::Request;
using gateway::detail::Server;
using gateway::detail::Settings;
using gateway::detail::Strand;

namespace gateway::detail {

namespace {

void check(const GatewayOptions& options) {
  const auto bad = [](const std::string& what) { throw ConfigError("gateway: " + what); };
  error_code error;
  const asio::ip::address address = asio::ip::make_address(options.address, error);
  if (error) bad("address \"" + options.address + "\" is not an IP address. Write 127.0.0.1 or ::1.");
  const std::string& secret = options.secret;
  const bool plain = std::all_of(secret.begin(), secret.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
  if (!secret.empty() && (secret.size() < 16 || secret.size() > 256 || !plain))
    bad("secret must be 16 to 256 letters and digits.");
  if (!address.is_loopback() && secret.empty() && options.keys.empty())
    bad("address " + options.address +
        " can be reached from other machines, so keys are needed. Name some in keys, or listen on 127.0.0.1.");
  if (!options.admin_sha256.empty() && !is_hash(options.admin_sha256))
    bad("admin_sha256 must be 64 hexadecimal digits in lower case, as \"outlay keys hash\" prints them.");
  if (options.refusal_status != 429 && options.refusal_status != 402) bad("refusal_status must be 429 or 402.");
  const GatewayLimits& limits = options.limits;
  const auto sizes = {std::pair{"head_bytes", limits.head_bytes},
                      {"body_bytes", limits.body_bytes},
                      {"reply_bytes", limits.reply_bytes},
                      {"stream_bytes", limits.stream_bytes},
                      {"connections", limits.connections}};
  for (const auto& [name, value] : sizes)
    if (value == 0) bad(std::string("limits: ") + name + " must be above 0.");
  const auto times = {std::pair{"head", limits.head},
                      {"idle", limits.idle},
                      {"body", limits.body},
                      {"connect", limits.connect},
                      {"first_byte", limits.first_byte},
                      {"upstream_idle", limits.upstream_idle},
                      {"total", limits.total}};
  for (const auto& [name, value] : times)
    if (value.count() <= 0 || value > std::chrono::hours(24 * 365))
      bad(std::string("limits: ") + name + " must be above 0 and at most a year.");
  if (options.drain.count() < 0 || options.drain > std::chrono::hours(24 * 365)) bad("drain must be 0 to a year.");
  for (const std::string& pattern : options.pass) {
    const std::size_t space = pattern.find(' ');
    if (space == 0 || space == pattern.npos || pattern.substr(space + 1, 1) != "/")
      bad("pass: \"" + pattern + "\" must be a method and a path, as in \"POST /v1/audio/speech\".");
  }
}

GatewayOptions checked(GatewayOptions options) {
  check(options);
  return options;
}

}  // namespace

Settings::Settings(GatewayOptions opts)
    : options(checked(std::move(opts))),
      upstreams(make_upstreams(options.upstreams, options.limits)),
      keys(options.keys) {}

}  // namespace gateway::detail

struct Gateway::Impl : std::enable_shared_from_this<Gateway::Impl> {
  using Timer =
      asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Strand>;

  Impl(const asio::any_io_executor& executor, GatewayOptions options)
      : server(executor, std::make_shared<const Settings>(std::move(options))),
        strand(asio::make_strand(executor)),
        acceptor(strand),
        changed(strand) {}

  void listen() {
    const GatewayOptions& options = server.settings()->options;
    const tcp::endpoint at(asio::ip::make_address(options.address), options.port);
    error_code error;
    acceptor.open(at.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(at, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      throw Error(errc::network, "gateway: cannot listen on " + options.address + " port " +
                                     std::to_string(options.port) + ": " + error.message() +
                                     ". Choose another port, or 0 for a free one.");
    bound = acceptor.local_endpoint(error);
  }

  // All below run on the strand.

  asio::awaitable<void> accept_loop() {
    while (!server.stopping) {
      const Strand own(asio::make_strand(server.executor));
      const std::shared_ptr<const Settings> settings = server.settings();
      auto client = std::make_shared<Client>(own, settings->options.limits);
      error_code error;
      co_await acceptor.async_accept(client->socket(), asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted || server.stopping) break;
      if (error) {
        // No descriptors left, perhaps: those that are served give some back.
        changed.expires_after(std::chrono::milliseconds(50));
        co_await changed.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      error_code ignored;
      client->socket().set_option(tcp::no_delay(true), ignored);
      const bool full = clients.size() >= settings->options.limits.connections;
      clients.insert(client);
      ++server.connections;
      // Below the scopes that are open around serve().
      outlay::co_spawn(
          own, session(server, client, full),
          asio::bind_cancellation_slot(client->slot(), [self = shared_from_this(), client](const std::exception_ptr&) {
            asio::post(self->strand, [self, client] {
              self->clients.erase(client);
              --self->server.connections;
              if (self->clients.empty()) self->changed.cancel();
            });
          }));
    }
    close_acceptor();
    const std::chrono::milliseconds drain = server.settings()->options.drain;
    cancel_clients(drain.count() == 0);
    if (!clients.empty()) co_await until_empty(drain);
    cancel_clients(true);
    while (!clients.empty()) co_await until_empty(std::chrono::hours(1));
  }

  asio::awaitable<void> until_empty(std::chrono::milliseconds at_most) {
    error_code error;
    changed.expires_after(at_most);
    co_await changed.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }

  void close_acceptor() {
    error_code ignored;
    acceptor.close(ignored);
  }

  void cancel_clients(bool force) {
    for (const auto& client : clients)
      asio::post(client->socket().get_executor(), [client, force] { client->cancel(force); });
  }

  static asio::awaitable<void> session(Server& server, std::shared_ptr<Client> client, bool full) {
    if (full) {
      Answer busy = gateway::detail::error_answer(std::nullopt, 503, "overloaded",
                                                  "The gateway has " +
                                                      std::to_string(server.settings()->options.limits.connections) +
                                                      " connections already (limit connections).");
      busy.fields.emplace_back("Retry-After", "1");
      co_await client->write(gateway::detail::wire_text(busy, false));
      co_await client->linger();
      co_return;
    }
    for (bool keep = true; keep && !server.stopping;) {
      Request request;
      const Incoming incoming = co_await client->read(request);
      if (incoming.end == Incoming::End::closed) break;
      ++server.requests;
      if (incoming.end == Incoming::End::bad) {
        const Answer answer =
            gateway::detail::error_answer(std::nullopt, incoming.status, "invalid_request", incoming.why);
        co_await client->write(gateway::detail::wire_text(answer, false));
        co_await client->linger();
        co_return;
      }
      if (server.stopping) request.keep_alive = false;
      keep = co_await serve_one(server, *client, request);
    }
    client->close();
  }

  static asio::awaitable<bool> serve_one(Server& server, Client& client, const Request& request) {
    const auto began = std::chrono::steady_clock::now();
    Relay relay(server, client, request);
    const auto report = [&](bool gone) {
      const std::shared_ptr<const Settings> settings = server.settings();
      if (!settings->options.on_exchange) return;
      GatewayExchange seen = relay.exchange();
      if (gone) seen.outcome = "gone";
      seen.took = std::chrono::steady_clock::now() - began;
      settings->options.on_exchange(seen);
    };
    bool keep = false;
    client.watch();
    try {
      keep = co_await relay.run();
    } catch (...) {
      report(true);
      throw;
    }
    client.quiet();
    report(false);
    co_return keep;
  }

  Server server;
  Strand strand;
  asio::basic_socket_acceptor<tcp, Strand> acceptor;
  Timer changed;
  std::unordered_set<std::shared_ptr<Client>> clients;
  tcp::endpoint bound;
};

Gateway::Gateway(const asio::any_io_executor& executor, GatewayOptions options)
    : impl_(std::make_shared<Impl>(executor, std::move(options))) {
  impl_->listen();
}

void Gateway::check(const GatewayOptions& options) { static_cast<void>(Settings(options)); }

Gateway::~Gateway() {
  impl_->server.stopping = true;
  asio::post(impl_->strand, [impl = impl_] {
    impl->close_acceptor();
    impl->cancel_clients(true);
  });
}

asio::awaitable<void> Gateway::serve() {
  const std::shared_ptr<Impl> impl = impl_;
  // Sums for the metrics, over what is booked where this is awaited.
  struct Counting {
    explicit Counting(const std::shared_ptr<gateway::detail::Totals>& to) : totals(to) { ledger.add_sink(totals); }
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;
    ~Counting() { ledger.remove_sink(totals); }
    Ledger ledger = Ledger::current();
    std::shared_ptr<gateway::detail::Totals> totals;
  };
  const Counting counting(impl->server.totals);
  try {
    co_await outlay::co_spawn(impl->strand, impl->accept_loop(), asio::use_awaitable);
  } catch (...) {
    impl->server.stopping = true;
    asio::post(impl->strand, [impl] {
      impl->close_acceptor();
      impl->cancel_clients(true);
    });
    throw;
  }
}

void Gateway::stop() noexcept {
  impl_->server.stopping = true;
  asio::post(impl_->strand, [impl = impl_] {
    impl->close_acceptor();
    impl->changed.cancel();
  });
}

void Gateway::reload(GatewayOptions options) {
  const std::shared_ptr<const Settings> now = impl_->server.settings();
  if (options.address != now->options.address || options.port != now->options.port ||
      options.secret != now->options.secret)
    throw ConfigError("gateway: another address, port or secret is only read at the start. Restart the gateway.");
  impl_->server.replace(std::make_shared<const Settings>(std::move(options)));
}

std::uint16_t Gateway::port() const noexcept { return impl_->bound.port(); }

std::string Gateway::url() const {
  const asio::ip::address address = impl_->bound.address();
  const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  std::string text = "http://" + host + ":" + std::to_string(impl_->bound.port());
  if (const auto settings = impl_->server.settings(); !settings->options.secret.empty())
    text += "/" + settings->options.secret;
  return text;
}

GatewayStats Gateway::stats() const noexcept {
  const Server& server = impl_->server;
  return {.requests = server.requests,
          .admitted = server.admitted,
          .refused = server.refused,
          .cut = server.cut,
          .connections = server.connections,
          .streams = server.streams};
}

}  // namespace outlay

#include "outlay/gateway.hpp"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

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

namespace {

/// As many strands as there can be threads that run at once.
std::vector<asio::any_io_executor> strands_over(const asio::any_io_executor& executor) {
  std::vector<asio::any_io_executor> strands;
  for (unsigned left = std::clamp(std::thread::hardware_concurrency(), 1U, 64U); left > 0; --left)
    strands.push_back(http::detail::own_strand(executor));
  return strands;
}

}  // namespace

struct Gateway::Impl : std::enable_shared_from_this<Gateway::Impl> {
  Impl(const std::vector<asio::any_io_executor>& strands, GatewayOptions options)
      : server(strands, std::make_shared<const Settings>(std::move(options), strands.size())),
        strand(server.strands.front()),
        acceptor(strand),
        admin_acceptor(strand),
        changed(strand),
        served(server.strands.size()) {}

  void listen() {
    const std::shared_ptr<const Settings> settings = server.settings();
    const GatewayOptions& options = settings->options;
    bound = listen_at(acceptor, options.address, options.port);
    if (options.admin_port) admin_bound = listen_at(admin_acceptor, options.admin_address, *options.admin_port);
  }

  static tcp::endpoint listen_at(tcp::acceptor& acceptor, const std::string& address, std::uint16_t port) {
    const tcp::endpoint at(asio::ip::make_address(address), port);
    error_code error;
    acceptor.open(at.protocol(), error);
    // A command that is started would keep the port open behind the gateway's end, and could take requests of others.
    if (!error) ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(at, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      throw Error(errc::network, "gateway: cannot listen on " + address + " port " + std::to_string(port) + ": " +
                                     error.message() + ". Choose another port, or 0 for a free one.");
    return acceptor.local_endpoint(error);
  }

  // All below run on the strand.

  /// \param admin The port of `/outlay/`.
  asio::awaitable<void> accept(tcp::acceptor& from, bool admin) {
    while (!server.stopping) {
      const auto own = static_cast<std::size_t>(std::min_element(served.begin(), served.end()) - served.begin());
      Client::Socket socket(server.strands[own]);
      error_code error;
      co_await from.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted || server.stopping) break;
      if (error) {
        // No descriptors left, perhaps: those that are served give some back.
        asio::steady_timer pause(strand, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      socket.non_blocking(true, ignored);
      const std::shared_ptr<const Settings> settings = server.settings();
      const auto client = std::make_shared<Client>(std::move(socket), own, settings->options.limits, settings->tls);
      // Operators come through when the clients are too many.
      const std::size_t most = settings->options.limits.connections + (admin ? 16 : 0);
      const bool full = clients.size() >= most;
      clients.insert(client);
      ++served[own];
      ++server.connections;
      // Below the scopes that are open around serve().
      outlay::co_spawn(
          server.strands[own], session(server, client, full, admin),
          asio::bind_cancellation_slot(client->slot(), [self = shared_from_this(), client](const std::exception_ptr&) {
            client->close();
            asio::post(self->strand, [self, client] {
              self->clients.erase(client);
              --self->served[client->strand()];
              --self->server.connections;
              if (self->clients.empty()) self->changed.cancel();
              self->rest_if_over();
            });
          }));
    }
  }

  asio::awaitable<void> accept_loop() {
    if (admin_acceptor.is_open())
      outlay::co_spawn(strand, accept(admin_acceptor, true), [self = shared_from_this()](const std::exception_ptr&) {});
    co_await accept(acceptor, false);
    close_acceptor();
    const std::chrono::milliseconds drain = server.settings()->options.drain;
    cancel_clients(drain.count() == 0);
    if (!clients.empty()) co_await until_empty(drain);
    cancel_clients(true);
    while (!clients.empty()) co_await until_empty(std::chrono::hours(1));
    rest_if_over();
  }

  /// Closes the kept connections to upstreams, once the gateway stops and its last client has gone: their timers would keep the io_context
  /// busy, and it may end before the gateway does.
  void rest_if_over() {
    if (server.stopping && clients.empty()) server.settings()->close_idle();
  }

  asio::awaitable<void> until_empty(std::chrono::milliseconds at_most) {
    error_code error;
    changed.expires_after(at_most);
    co_await changed.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }

  void close_acceptor() {
    error_code ignored;
    acceptor.close(ignored);
    admin_acceptor.close(ignored);
  }

  void cancel_clients(bool force) {
    for (const auto& client : clients)
      asio::post(client->socket().get_executor(), [client, force] { client->cancel(force); });
  }

  static asio::awaitable<void> session(Server& server, std::shared_ptr<Client> client, bool full, bool admin) {
    if (!co_await client->shake_hands()) {
      client->close();
      co_return;
    }
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
      keep = co_await serve_one(server, *client, request, admin);
    }
    co_await client->finish();
  }

  static asio::awaitable<bool> serve_one(Server& server, Client& client, const Request& request, bool admin) {
    const auto began = std::chrono::steady_clock::now();
    Relay relay(server, client, request, admin);
    const auto report = [&](bool gone) {
      const std::shared_ptr<const Settings> settings = server.settings();
      if (!settings->options.on_exchange) return;
      GatewayExchange seen = relay.exchange();
      if (gone) seen.outcome = "gone";
      seen.took = std::chrono::steady_clock::now() - began;
      settings->options.on_exchange(seen);
    };
    client.watch();
    try {
      co_await relay.run();
    } catch (...) {
      report(true);
      throw;
    }
    client.quiet();
    if (relay.added()) server.added.add(*relay.added());
    report(false);
    co_return relay.keeps_alive();
  }

  Server server;
  const asio::any_io_executor strand;  // of the members below
  tcp::acceptor acceptor;
  tcp::acceptor admin_acceptor;  // open where `/outlay/` has a port of its own
  asio::steady_timer changed;
  std::vector<std::size_t> served;  // clients, by strand
  std::unordered_set<std::shared_ptr<Client>> clients;
  tcp::endpoint bound;
  tcp::endpoint admin_bound;
};

Gateway::Gateway(const asio::any_io_executor& executor, GatewayOptions options)
    : Gateway(strands_over(executor), std::move(options)) {}

Gateway::Gateway(const std::vector<asio::any_io_executor>& strands, GatewayOptions options) {
  if (strands.empty()) throw ConfigError("gateway: there are no strands. Name one at least.");
  impl_ = std::make_shared<Impl>(strands, std::move(options));
  impl_->listen();
}

void Gateway::check(const GatewayOptions& options) { static_cast<void>(Settings(options, 1)); }

Gateway::~Gateway() {
  impl_->server.stopping = true;
  impl_->server.desk.close();
  asio::post(impl_->strand, [impl = impl_] {
    impl->close_acceptor();
    impl->cancel_clients(true);
  });
}

asio::awaitable<void> Gateway::serve() {
  const std::shared_ptr<Impl> impl = impl_;
  // Sums for the metrics, over what is booked where this is awaited.
  struct Counting {
    explicit Counting(const std::shared_ptr<gateway::detail::Totals>& to) : totals(to) {
      ledger.add_sink(totals, {.max_delay = std::chrono::milliseconds(200)});
    }
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
      impl->rest_if_over();
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
      options.secret != now->options.secret || options.admin_address != now->options.admin_address ||
      options.admin_port != now->options.admin_port)
    throw ConfigError("gateway: another address, port or secret is only read at the start. Restart the gateway.");
  if (options.tls_certificate.empty() != now->options.tls_certificate.empty())
    throw ConfigError("gateway: whether clients use TLS is only read at the start. Restart the gateway.");
  impl_->server.replace(std::make_shared<const Settings>(std::move(options), impl_->server.strands.size()));
  impl_->server.counters.forget();
}

std::uint16_t Gateway::port() const noexcept { return impl_->bound.port(); }
std::uint16_t Gateway::admin_port() const noexcept { return impl_->admin_bound.port(); }

std::string Gateway::url() const {
  const asio::ip::address address = impl_->bound.address();
  const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  const std::shared_ptr<const Settings> settings = impl_->server.settings();
  std::string text = (settings->tls ? "https://" : "http://") + host + ":" + std::to_string(impl_->bound.port());
  if (!settings->options.secret.empty()) text += "/" + settings->options.secret;
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

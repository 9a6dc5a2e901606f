// refused: post must return boost::asio::awaitable<boost::json::value>
#include <boost/json.hpp>
#include <outlay/asio.hpp>

#ifdef MUST_FAIL
boost::asio::awaitable<int> post(const boost::json::object& request);
#else
boost::asio::awaitable<boost::json::value> post(const boost::json::object& request);
#endif

boost::asio::awaitable<void> f() {
  const boost::json::object request{{"model", "gpt-4o"}};
  co_await outlay::async_guard(outlay::Api::openai_chat, request, post, boost::asio::use_awaitable);
}

// refused: Give it a name first
// g++ 12 may destroy such a temporary twice.
#include <boost/json.hpp>
#include <outlay/asio.hpp>

boost::asio::awaitable<boost::json::value> post(const boost::json::object& request);

boost::asio::awaitable<void> f() {
#ifdef MUST_FAIL
  co_await outlay::async_guard(outlay::Api::openai_chat, boost::json::object{{"model", "gpt-4o"}}, post,
                               boost::asio::use_awaitable);
#else
  const boost::json::object request{{"model", "gpt-4o"}};
  co_await outlay::async_guard(outlay::Api::openai_chat, request, post, boost::asio::use_awaitable);
#endif
}

// refused: whose executor can be any
// A coroutine tied to a plain executor's type has no place for the context.
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <outlay/asio.hpp>

#ifdef MUST_FAIL
using Result = boost::asio::awaitable<void, boost::asio::io_context::executor_type>;
#else
using Result = boost::asio::awaitable<void>;
#endif
Result work();

void f(boost::asio::io_context& io) { outlay::co_spawn(io, work(), boost::asio::detached); }

#pragma once

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <utility>

#include "outlay/asio.hpp"

/// What a coroutine returns that runs on a pool of two threads.
template <class F>
auto run(F function) {
  boost::asio::thread_pool pool(2);
  return outlay::co_spawn(pool, std::move(function), boost::asio::use_future).get();
}

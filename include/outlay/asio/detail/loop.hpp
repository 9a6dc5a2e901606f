#pragma once

#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/detail/thread_info_base.hpp>

#include "outlay/detail/home.hpp"

namespace outlay::detail {

/// Is this thread inside a run() of an io_context or thread_pool?
inline bool inside_asio_loop() noexcept {
  return boost::asio::detail::thread_context::top_of_thread_call_stack() != nullptr;
}

// In the header, so that a program which opens scopes in coroutines but never calls outlay::co_spawn is reported, too.
inline const bool asio_loop_probe = set_loop_probe(&inside_asio_loop);

}  // namespace outlay::detail

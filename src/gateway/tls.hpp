#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

namespace outlay::gateway::detail {

/// What clients are served by; null where both names are empty.
///
/// \par Errors
/// ConfigError for one without the other, for files that cannot be read, and for a key that is not the certificate's.
[[nodiscard]] std::shared_ptr<boost::asio::ssl::context> tls_for_clients(const std::string& certificate,
                                                                         const std::string& key);

}  // namespace outlay::gateway::detail

#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"

namespace outlay::http {

/// A provider answered with an error.
///
/// Reason errc::provider_error. Carries what can be said without a word of the provider's message, which may quote the prompt or the key.
class OUTLAY_EXPORT ProviderError : public Error {
 public:
  /// For components, and for tests of programs.
  ProviderError(const std::string& message, int status, std::string code, std::string parameter, std::string request_id,
                std::optional<std::chrono::milliseconds> retry_after)
      : Error(errc::provider_error, message),
        status_(status),
        code_(std::move(code)),
        parameter_(std::move(parameter)),
        request_id_(std::move(request_id)),
        retry_after_(retry_after) {}

  /// The HTTP status of the refusal.
  [[nodiscard]] int status() const noexcept { return status_; }
  /// The provider's own code, type or status (`insufficient_quota`), as far as it is a plain word of at most 64 characters.
  [[nodiscard]] const std::string& code() const noexcept { return code_; }
  /// The parameter that it names (`max_tokens`), under the same condition.
  [[nodiscard]] const std::string& parameter() const noexcept { return parameter_; }
  /// For the provider's support; under the same condition.
  [[nodiscard]] const std::string& request_id() const noexcept { return request_id_; }
  /// What `Retry-After` asked for.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept { return retry_after_; }

 private:
  int status_;
  std::string code_;
  std::string parameter_;
  std::string request_id_;
  std::optional<std::chrono::milliseconds> retry_after_;
};

}  // namespace outlay::http

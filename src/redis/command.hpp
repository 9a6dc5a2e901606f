#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "outlay/store.hpp"

namespace outlay::detail {

/// How commands and replies look on the wire: the arguments and the answer of `redis_script`.
class RedisCodec {
 public:
  explicit RedisCodec(std::string_view prefix);

  /// One call of the script.
  ///
  /// \param sha The script's name on the server.
  /// \param epoch 32 characters, for a server that has none yet; never the same ones twice.
  /// \return False if the command makes no sense: then nothing was appended to `bytes`.
  [[nodiscard]] bool append(std::string& bytes, const StoreCommand& command, std::string_view sha,
                            std::string_view epoch) const;

  struct Reply {
    StoreReply reply{};
    bool leases_due = false;  ///< More leases had run out than one call deals with.
  };
  /// \return False if the bytes are no answer to this command.
  [[nodiscard]] static bool read(std::string_view bytes, const StoreCommand& command, Reply& reply);

 private:
  [[nodiscard]] std::string counter_key(const StoreCounter& counter) const;
  std::string base_;  // what every key begins with
  std::string meta_, leases_;
};

}  // namespace outlay::detail

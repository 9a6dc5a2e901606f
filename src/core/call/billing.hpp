#pragma once

#include <optional>
#include <string_view>

#include "core/call/reservation.hpp"

namespace outlay::detail {

/// What a call was billed for: a Settlement, without a copy.
struct Bill {
  const Usage& usage;
  std::string_view served_model{};
  std::string_view service_tier{};
  std::optional<Usd> provider_cost{};
  bool estimated = false;
};

/// What a call costs, and on whose word.
struct Priced {
  Usd usd{};
  CostSource source = CostSource::table;
  std::optional<Usd> table{};
  const ModelName* served = nullptr;
  const ModelName* provider = nullptr;
  std::optional<std::uint32_t> prices{};  // the version's name, where it is not the present table's
};

[[nodiscard]] Priced price(const Reservation& reservation, const Bill& bill);

/// Writes the record of a call that has ended.
void record(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
            std::string_view reason);

}  // namespace outlay::detail

#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/call/reservation.hpp"

namespace outlay::detail {

/// What a call was billed for: a Settlement, without a copy.
struct Bill {
  const Usage& usage;
  std::string_view served_model{};
  std::string_view service_tier{};
  std::optional<Usd> provider_cost{};
  bool estimated = false;
  std::span<const UsagePart> parts{};
};

[[nodiscard]] Bill bill_of(const Settlement& settlement) noexcept;
/// The member that cannot be right; null if there is none.
[[nodiscard]] const char* invalid_member(const Bill& bill) noexcept;
/// What that member may be, as the end of a message.
[[nodiscard]] const char* bounds_of(const char* member) noexcept;
/// What a call that used this has spent in every dimension.
[[nodiscard]] Vector spent_by(Usd usd, const Usage& usage) noexcept;

/// What a call costs, and on whose word.
struct Priced {
  Usd usd{};
  CostSource source = CostSource::table;
  std::optional<Usd> table{};
  const ModelName* served = nullptr;
  const ModelName* provider = nullptr;
  std::optional<std::uint32_t> prices{};  // the version's name, where it is not the present table's
  std::vector<RecordPart> parts{};        // of the bill's, with what each costs
};

[[nodiscard]] Priced price(const Reservation& reservation, const Bill& bill);

/// Counts and reports once for each API that a reply's usage had a member which the library does not know.
OUTLAY_EXPORT void note_unread_usage(const Reservation& reservation, std::string_view api,
                                     std::string_view member) noexcept;

/// Writes the record of a call that has ended.
void record(const Reservation& reservation, const Bill& bill, const Priced& priced, RecordStatus status,
            std::string_view reason);

}  // namespace outlay::detail

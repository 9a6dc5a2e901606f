#include "cli/savings.hpp"

#include <algorithm>

#include "cli/page.hpp"
#include "core/ledger/budget_path.hpp"
#include "outlay/error.hpp"

namespace outlay::cli {

namespace {

__extension__ using Wide = __int128;

constexpr std::size_t most_models = 10'000, most_cut = 100'000, most_recent = 256;

std::string card(const char* id, const char* what, const Savings::Part& part, const char* sign, const char* meaning) {
  if (part.calls == 0 && part.unknown == 0) return {};
  const auto calls = [](std::int64_t count) { return std::to_string(count) + (count == 1 ? " call" : " calls"); };
  std::string note = part.calls == 0 ? std::string() : "in " + calls(part.calls);
  if (part.unknown != 0) note += (note.empty() ? "" : "; ") + ("not known of " + calls(part.unknown));
  return std::string("<div><dt>") + what + "</dt><dd id=\"saved-" + id + "\" data-n=\"" +
         std::to_string(part.usd.nanos()) + "\" title=\"" + to_string(part.usd) + "\">" +
         (part.calls == 0 ? std::string("not known") : sign + html(money(part.usd))) + "<span class=\"note\">" + note +
         "</span><span class=\"note\">" + meaning + "</span></dd></div>";
}

}  // namespace

Savings::Model* Savings::model(const std::string& name) {
  if (models_.size() >= most_models && !models_.contains(name)) return nullptr;
  return &models_[name];
}

void Savings::add_cut(std::optional<Usd> left) {
  if (!left) {
    ++cut_.unknown;
    return;
  }
  ++cut_.calls;
  cut_.usd += *left;
}

void Savings::add(const Record& record) {
  const bool priced = record.status != RecordStatus::rejected && record.cost_source != CostSource::none;
  const std::string& admitted = record.admitted_model.empty() ? record.model : record.admitted_model;
  // An indeterminate call is booked at its reservation: it says nothing about what calls cost.
  if (priced && record.status != RecordStatus::indeterminate)
    if (Model* const known = model(admitted)) known->usd += record.usd, ++known->calls;

  std::optional<Usd> left;
  if (priced) left = std::max(record.reserved - record.usd, Usd{});
  CallKey key{record.call_id, detail::join_path(record.budgets)};
  if (const auto cut = being_cut_.find(key); cut != being_cut_.end()) {
    add_cut(left);
    if (--cut->second == 0) being_cut_.erase(cut);
  } else {
    recent_.emplace_back(std::move(key), left);
    if (recent_.size() > most_recent) recent_.pop_front();
  }

  // A policy has chosen another model. Where one of the two costs is not known, their difference is not, either.
  if (record.status == RecordStatus::rejected || record.admitted_model.empty() ||
      record.requested_model == record.admitted_model)
    return;
  if (priced && prices_.find(record.requested_model)) try {
      const Cost asked = prices_.cost(record.requested_model, record.usage);
      if (!asked.incomplete) {
        ++downgraded_.calls;
        downgraded_.usd += asked.usd - record.usd;
        return;
      }
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): a usage that has no price there says nothing
    }
  ++downgraded_.unknown;
}

void Savings::add(const BudgetEvent& event) {
  switch (event.action) {
    case Action::blocked:
    case Action::truncated:
      if (Model* const asked = model(event.model))
        ++asked->refused;
      else
        ++refused_elsewhere_;
      break;
    case Action::clamped:
      if (event.dimension != Dimension::usd || event.projected <= event.cap) {
        ++clamped_.unknown;
        break;
      }
      ++clamped_.calls;
      clamped_.usd += Usd::from_nanos(event.projected) - Usd::from_nanos(event.cap);
      break;
    case Action::cut: {
      CallKey key{event.call_id, detail::join_path(event.budgets)};
      const auto there =
          std::find_if(recent_.begin(), recent_.end(), [&](const auto& one) { return one.first == key; });
      if (there != recent_.end()) {
        add_cut(there->second);
        recent_.erase(there);
      } else if (being_cut_.size() < most_cut) {
        ++being_cut_[std::move(key)];
      } else {
        ++cut_elsewhere_;
      }
      break;
    }
    default:
      break;
  }
}

Savings::Part Savings::refused() const {
  Part part;
  part.unknown = refused_elsewhere_;
  for (const auto& [name, one] : models_) {
    if (one.calls == 0) {
      part.unknown += one.refused;
      continue;
    }
    part.calls += one.refused;
    const Wide all = (static_cast<Wide>(one.usd.nanos()) * one.refused + one.calls / 2) / one.calls;
    if (all < INT64_MAX && all > INT64_MIN) part.usd += Usd::from_nanos(static_cast<std::int64_t>(all));
  }
  return part;
}

Savings::Part Savings::cut() const {
  Part part = cut_;
  part.unknown += cut_elsewhere_;
  for (const auto& [key, times] : being_cut_) part.unknown += times;
  return part;
}

std::string Savings::render() const {
  const std::string cards =
      card("refused", "By refusing", refused(), "about ",
           "An estimate: at the mean cost of the calls here that ran on the model that was asked for. A call that was "
           "tried again counts each time.") +
      card("downgraded", "By downgrading", downgraded(), "about ",
           "An estimate: the same tokens at the price of the model that was asked for, as this command knows it, minus "
           "what was booked.") +
      card("clamped", "By clamping, of reservations", clamped(), "at least ",
           "By how much these calls, as they were asked for, would have passed the cap in the worst case. Few calls "
           "reach their ceiling.") +
      card("cut", "By cutting", cut(), "at most ",
           "What was still held for an answer when it was ended, minus what was booked.");
  if (cards.empty()) return {};
  return "<h3>What was not spent</h3><p class=\"soft\">None of this is on a bill, and each is reckoned in a way of its "
         "own: they have no sum.</p><dl class=\"cards wide\">" +
         cards + "</dl>";
}

}  // namespace outlay::cli

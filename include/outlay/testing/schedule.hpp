#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace outlay::testing {

/// One step of an actor. False: it cannot be taken yet (the actor waits), and is tried again when the actor is next chosen.
template <class World>
using Step = std::function<bool(World&)>;
/// The steps of one actor, in their order.
template <class World>
using Script = std::vector<Step<World>>;

/// Runs every order in which the steps of several actors can follow one another, each in a world of its own.
///
/// Deterministic: no thread is started. Steps are whole operations; what happens within one is a matter for ThreadSanitizer.
///
/// \param make_world Makes a fresh world, returned by value or by pointer-like handle.
/// \param check Called with the world and the order taken (actors by number) after the last step that could be taken; `finished` says
/// whether every actor came to its end.
/// \return How many orders were run.
template <class World, class MakeWorld, class Check>
std::size_t for_each_interleaving(const std::vector<Script<World>>& scripts, MakeWorld&& make_world, Check&& check) {
  std::size_t orders = 0;
  std::vector<std::size_t> prefix;

  // Replays a prefix in a fresh world, then goes on depth first: the last actor that can still be replaced by a later one is.
  for (;;) {
    auto world = make_world();
    std::vector<std::size_t> at(scripts.size(), 0);
    std::vector<bool> stuck(scripts.size(), false);
    std::vector<std::size_t> order;
    std::vector<std::vector<std::size_t>> choices;
    for (;;) {
      std::vector<std::size_t> able;
      for (std::size_t actor = 0; actor < scripts.size(); ++actor)
        if (at[actor] < scripts[actor].size() && !stuck[actor]) able.push_back(actor);
      if (able.empty()) break;
      std::size_t actor = able.front();
      if (order.size() < prefix.size()) actor = prefix[order.size()];
      order.push_back(actor);
      choices.push_back(able);
      if (scripts[actor][at[actor]](*world)) {
        ++at[actor];
        stuck.assign(scripts.size(), false);  // something has happened: every actor may try again
      } else {
        stuck[actor] = true;
      }
    }
    bool finished = true;
    for (std::size_t actor = 0; actor < scripts.size(); ++actor)
      finished = finished && at[actor] == scripts[actor].size();
    check(*world, order, finished);
    ++orders;

    prefix = std::move(order);
    for (;;) {
      if (prefix.empty()) return orders;
      const std::vector<std::size_t>& able = choices[prefix.size() - 1];
      std::size_t next = 0;
      while (able[next] != prefix.back()) ++next;
      prefix.pop_back();
      if (next + 1 < able.size()) {
        prefix.push_back(able[next + 1]);
        break;
      }
    }
  }
}

}  // namespace outlay::testing

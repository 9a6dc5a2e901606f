#pragma once

#include <outlay/outlay.hpp>

#include <memory>

#define PLUGIN_EXPORT __attribute__((visibility("default")))

/// A sink of the plugin's own, behind outlay's interface.
PLUGIN_EXPORT std::shared_ptr<outlay::Sink> plugin_sink();
PLUGIN_EXPORT int records_in(const std::shared_ptr<outlay::Sink>& sink);

/// Throws what a call that does not fit throws in the library.
PLUGIN_EXPORT void refused_call();
/// Throws an exception that is defined in outlay's headers alone.
PLUGIN_EXPORT void wrong_configuration();

#pragma once

// Everything that outlay::otel adds.
#include "outlay/otel/sink.hpp"

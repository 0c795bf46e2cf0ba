// The noise that tokens are drawn with: backend/sampling.h, under the engine's names.
#pragma once

#include "backend/sampling.h"

namespace rafter::engine {

using backend::derived_seed;
using backend::philox;
using backend::TokenNoise;
using backend::uniform;

}  // namespace rafter::engine

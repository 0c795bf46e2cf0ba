// The only source that is compiled again when the version changes.
#include "base/version.h"

namespace rafter {

const char* version() { return RAFTER_VERSION; }

}  // namespace rafter

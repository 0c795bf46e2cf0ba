// The only source that is compiled anew when the version changes.
#include "apps/cli.h"

namespace rafter::apps {

const char* version() { return RAFTER_VERSION; }

}  // namespace rafter::apps

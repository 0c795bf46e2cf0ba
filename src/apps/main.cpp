// The rafter command line: finds the verb and runs it.
#include <fmt/format.h>

int main() {
    fmt::print("rafter {}\n", RAFTER_VERSION);
    return 0;
}

// The terminal, if there is one: whether a stream is one and how wide, and Ctrl-C as a flag.
#pragma once

#include <cstdio>

namespace rafter {

[[nodiscard]] bool is_terminal(std::FILE* stream);
// Columns; 80 where there is no terminal.
[[nodiscard]] unsigned terminal_width(std::FILE* stream);

// While one of these lives, Ctrl-C sets a flag instead of ending the program. A second one before take() ends it after all: whoever presses
// it twice does not want to wait. At most one at a time.
class InterruptFlag {
  public:
    InterruptFlag();
    ~InterruptFlag();
    InterruptFlag(const InterruptFlag&) = delete;
    InterruptFlag& operator=(const InterruptFlag&) = delete;

    // Whether Ctrl-C was pressed since the last take().
    [[nodiscard]] bool is_set() const;
    bool take();
};

}  // namespace rafter

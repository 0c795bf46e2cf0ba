// The terminal, if there is one: whether a stream is one and how wide, Ctrl-C as a flag, and what is typed while nobody reads.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "base/result.h"

namespace rafter {

[[nodiscard]] bool is_terminal(std::FILE* stream);
// Columns; 80 where there is no terminal.
[[nodiscard]] unsigned terminal_width(std::FILE* stream);

// All of standard input until its end; nothing where it is closed. waiting: called once when nothing has come for a second.
[[nodiscard]] Result<std::string> read_standard_input(const std::function<void()>& waiting);

// While one of these lives, what is typed at the terminal (standard input) is neither shown nor cut into lines until somebody reads it, and
// the terminal marks text that is pasted (bracketed paste, https://invisible-island.net/xterm/xterm-paste64.html). Signals that end the
// program give the terminal back as it was. Nothing happens where standard input is no terminal. At most one at a time.
class HeldInput {
  public:
    // marks_paste: false for a terminal that obeys no escape sequences.
    struct Options {
        bool marks_paste = true;
    };
    explicit HeldInput(Options options);
    ~HeldInput();
    HeldInput(const HeldInput&) = delete;
    HeldInput& operator=(const HeldInput&) = delete;
};

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

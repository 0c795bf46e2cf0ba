// Lines typed at a terminal, with editing and history (libedit); plain lines where standard input is none.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace rafter {

class LineEditor {
  public:
    // What a terminal does not show (colours) stands between two of these in a prompt.
    static constexpr char kInvisible = '\1';
    // prompt: shown on standard error before each line, at a terminal only.
    explicit LineEditor(std::string prompt);
    ~LineEditor();
    LineEditor(const LineEditor&) = delete;
    LineEditor& operator=(const LineEditor&) = delete;

    enum class Outcome { kLine, kInterrupted, kEnd };
    struct Line {
        Outcome outcome = Outcome::kEnd;
        std::string text;  // without the line end
    };
    // Waits for a line. kInterrupted: a signal came instead (Ctrl-C under an InterruptFlag).
    [[nodiscard]] Line read();
    [[nodiscard]] bool is_interactive() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace rafter

// Lines typed at a terminal, with editing and history (libedit); plain lines where standard input is none.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rafter {

// What is typed between two reads waits for the next one, unseen, where a HeldInput lives as long as the editor. Pasted text is one line,
// whatever line ends it has, that the user can still edit; so a line may have line ends in it.
class LineEditor {
  public:
    // What a terminal does not show (colours) stands between two of these in a prompt.
    static constexpr char kInvisible = '\1';
    struct Options {
        std::string prompt;  // shown on standard error before each line, at a terminal only
        // Lines of earlier runs, which the user can go back to; what is remembered goes there too. Its folder is made when it is missing;
        // a file that cannot be read or written is no error.
        std::optional<std::filesystem::path> history_file;
    };
    explicit LineEditor(Options options);
    ~LineEditor();
    LineEditor(const LineEditor&) = delete;
    LineEditor& operator=(const LineEditor&) = delete;

    enum class Outcome { kLine, kInterrupted, kEnd };
    struct Line {
        Outcome outcome = Outcome::kEnd;
        std::string text;  // without the line end
    };
    // Waits for a line. kInterrupted: a signal came instead (Ctrl-C under an InterruptFlag). prompt: instead of the usual one; may be
    // empty.
    [[nodiscard]] Line read();
    [[nodiscard]] Line read(std::string_view prompt);
    // Adds a line to the history.
    void remember(const std::string& line);
    [[nodiscard]] bool is_interactive() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace rafter

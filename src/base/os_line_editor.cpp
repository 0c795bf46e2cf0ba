// libedit wants a C locale for what a character is; only LC_CTYPE is set, so numbers stay as they are.
#include "base/os_line_editor.h"

#include <histedit.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <iostream>

#include "base/os_terminal.h"

namespace rafter {

struct LineEditor::State {
    std::string prompt;
    EditLine* editor = nullptr;  // null where standard input is no terminal
    History* history = nullptr;
};

namespace {

char* prompt_of(EditLine* editor) {
    const std::string* prompt = nullptr;
    el_get(editor, EL_CLIENTDATA, &prompt);
    return const_cast<char*>(prompt->c_str());  // libedit does not write to it
}

}  // namespace

LineEditor::LineEditor(std::string prompt) : state_(std::make_unique<State>()) {
    state_->prompt = std::move(prompt);
    if (!is_terminal(stdin) || !is_terminal(stderr)) return;
    if (setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    state_->editor = el_init("rafter", stdin, stderr, stderr);  // standard output carries the answers only
    if (state_->editor == nullptr) return;
    state_->history = history_init();
    HistEvent event;
    history(state_->history, &event, H_SETSIZE, 1000);
    history(state_->history, &event, H_SETUNIQUE, 1);
    el_set(state_->editor, EL_CLIENTDATA, &state_->prompt);
    el_set(state_->editor, EL_PROMPT_ESC, prompt_of, LineEditor::kInvisible);
    el_set(state_->editor, EL_EDITOR, "emacs");
    el_set(state_->editor, EL_HIST, history, state_->history);
    // A Ctrl-D typed while nobody reads is kept by the terminal as a NUL, which libedit takes for "the next key as it is".
    el_set(state_->editor, EL_BIND, "^@", "em-delete-or-list", nullptr);
}

LineEditor::~LineEditor() {
    if (state_->history != nullptr) history_end(state_->history);
    if (state_->editor != nullptr) el_end(state_->editor);
}

bool LineEditor::is_interactive() const { return state_->editor != nullptr; }

LineEditor::Line LineEditor::read() {
    if (!is_interactive()) {
        Line line;
        if (std::getline(std::cin, line.text)) line.outcome = Outcome::kLine;
        return line;
    }
    int n = 0;
    errno = 0;
    const char* typed = el_gets(state_->editor, &n);
    if (typed == nullptr || n <= 0) return {.outcome = errno == EINTR ? Outcome::kInterrupted : Outcome::kEnd, .text = {}};
    Line line{.outcome = Outcome::kLine, .text = std::string(typed, static_cast<std::size_t>(n))};
    while (line.text.ends_with('\n') || line.text.ends_with('\r')) line.text.pop_back();
    if (!line.text.empty()) {
        HistEvent event;
        history(state_->history, &event, H_ENTER, typed);
    }
    return line;
}

}  // namespace rafter

// libedit wants a C locale for what a character is; only LC_CTYPE is set, so numbers stay as they are.
#include "base/os_line_editor.h"

#include <histedit.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <iostream>

#include "base/os_line_history.h"
#include "base/os_terminal.h"

namespace rafter {

struct LineEditor::State {
    Options options;
    std::string prompt;          // of the line that is read
    EditLine* editor = nullptr;  // null where standard input is no terminal
    History* history = nullptr;
};

namespace {

constexpr std::size_t kLinesKept = 1000;

char* prompt_of(EditLine* editor) {
    const std::string* prompt = nullptr;
    el_get(editor, EL_CLIENTDATA, &prompt);
    return const_cast<char*>(prompt->c_str());  // libedit does not write to it
}

// All up to the mark that ends a paste goes into the line. A terminal sends line ends of a paste as CR.
unsigned char insert_paste(EditLine* editor, int /*key*/) {
    constexpr std::wstring_view kEnd = L"\x1b[201~";
    std::wstring text;
    wchar_t character = 0;
    while (!text.ends_with(kEnd)) {
        if (el_wgetc(editor, &character) != 1) return CC_EOF;
        text += character;
    }
    text.resize(text.size() - kEnd.size());
    std::wstring line;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_end = text[i] == L'\r' || text[i] == L'\n';
        if (text[i] == L'\r' && i + 1 < text.size() && text[i + 1] == L'\n') ++i;
        if (is_end) line += L'\n';
        if (!is_end && (text[i] >= L' ' || text[i] == L'\t') && text[i] != 0x7F) line += text[i];
    }
    while (line.ends_with(L'\n')) line.pop_back();
    if (line.empty()) return CC_NORM;
    return el_winsertstr(editor, line.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

void add(History* history, const std::string& line) {
    HistEvent event;
    ::history(history, &event, H_ENTER, line.c_str());
}

}  // namespace

LineEditor::LineEditor(Options options) : state_(std::make_unique<State>()) {
    state_->options = std::move(options);
    if (!is_terminal(stdin) || !is_terminal(stderr)) return;
    if (setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    state_->editor = el_init("rafter", stdin, stderr, stderr);  // standard output carries the answers only
    if (state_->editor == nullptr) return;
    state_->history = history_init();
    HistEvent event;
    history(state_->history, &event, H_SETSIZE, static_cast<int>(kLinesKept));
    history(state_->history, &event, H_SETUNIQUE, 1);
    el_set(state_->editor, EL_CLIENTDATA, &state_->prompt);
    el_set(state_->editor, EL_PROMPT_ESC, prompt_of, LineEditor::kInvisible);
    el_set(state_->editor, EL_EDITOR, "emacs");
    el_set(state_->editor, EL_HIST, history, state_->history);
    // A Ctrl-D typed while nobody reads is kept by the terminal as a NUL, which libedit takes for "the next key as it is".
    el_set(state_->editor, EL_BIND, "^@", "em-delete-or-list", nullptr);
    // In wide characters, because of the others libedit keeps copies that it never frees.
    el_wset(state_->editor, EL_ADDFN, L"insert-paste", L"insert pasted text", insert_paste);
    el_set(state_->editor, EL_BIND, "\\e[200~", "insert-paste", nullptr);
    // Between two reads libedit would show what is typed, and hand it on in whole lines only: not so under a HeldInput.
    el_set(state_->editor, EL_SETTY, "-x", "-echo", "-icanon", "-icrnl", nullptr);
    // CR LF in pasted text is one line end: not if the terminal made two of it.
    el_set(state_->editor, EL_SETTY, "-d", "-icrnl", "-inlcr", nullptr);
    if (!state_->options.history_file) return;
    for (const std::string& line : read_line_history(*state_->options.history_file, kLinesKept)) add(state_->history, line);
}

LineEditor::~LineEditor() {
    if (state_->history != nullptr) history_end(state_->history);
    if (state_->editor != nullptr) el_end(state_->editor);
}

bool LineEditor::is_interactive() const { return state_->editor != nullptr; }

LineEditor::Line LineEditor::read() { return read(state_->options.prompt); }

LineEditor::Line LineEditor::read(std::string_view prompt) {
    Line line;
    if (is_interactive()) {
        state_->prompt = prompt;
        el_resize(state_->editor);
        int n = 0;
        errno = 0;
        const char* typed = el_gets(state_->editor, &n);
        if (typed == nullptr || n <= 0) return {.outcome = errno == EINTR ? Outcome::kInterrupted : Outcome::kEnd, .text = {}};
        line = {.outcome = Outcome::kLine, .text = std::string(typed, static_cast<std::size_t>(n))};
        if (line.text.ends_with('\n')) line.text.pop_back();
    } else if (std::getline(std::cin, line.text)) {
        line.outcome = Outcome::kLine;
    }
    if (line.text.ends_with('\r')) line.text.pop_back();
    return line;
}

void LineEditor::remember(const std::string& line) {
    if (!is_interactive() || line.empty()) return;
    add(state_->history, line);
    if (state_->options.history_file) append_line_history(*state_->options.history_file, line);
}

}  // namespace rafter

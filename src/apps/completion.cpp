// rafter completion bash|zsh|man|words: shell completion and the manual page. Hidden from --help; the shells ask `words` at each press of
// Tab, so that what they offer is what this program takes.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli.h"
#include "apps/man_page.h"
#include "apps/shape.h"
#include "files/model_store.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kBash = R"bash(# Completion of rafter's command line for bash:  source <(rafter completion bash)
_rafter() {
    local candidate
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        if [[ $candidate == :files ]]; then
            compopt -o filenames
            while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        else
            COMPREPLY+=("$candidate")
        fi
    done < <(rafter completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _rafter rafter
)bash";

constexpr std::string_view kZsh = R"zsh(#compdef rafter
# Completion of rafter's command line for zsh:  source <(rafter completion zsh)
_rafter() {
    local line files=0 tab=$'\t'
    local -a candidates
    for line in ${(f)"$(rafter completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        if [[ $line == ":files" ]]; then
            files=1
        else
            line=${line//:/\\:}
            candidates+=("${line/$tab/:}")
        fi
    done
    (( $#candidates )) && _describe rafter candidates
    (( files )) && _files
}
if [[ $funcstack[1] == _rafter ]]; then _rafter "$@"; else compdef _rafter rafter; fi
)zsh";

const OptionShape* find_option(const VerbShape& verb, std::string_view name) {
    for (const OptionShape& option : verb.options) {
        for (const std::string& known : option.names) {
            if (known == name) return &option;
        }
    }
    return nullptr;
}

// Prints what may follow: one candidate a line, a tab and what it means; ":files" where a path may stand.
class Candidates {
  public:
    explicit Candidates(std::string_view begun) : begun_(begun) {}

    void add(std::string_view word, std::string_view meaning) const {
        if (word.starts_with(begun_)) fmt::print("{}\t{}\n", word, meaning.substr(0, meaning.find('\n')));
    }
    void add_values(const OptionShape& option) const {
        for (const std::string& choice : option.choices) add(choice, "");
        if (option.names_model) {
            for (const files::KnownModel& model : files::known_models()) add(model.name, model.description);
        }
        if (option.takes_file) fmt::print(":files\n");
    }
    void add_options(const VerbShape& verb) const {
        for (const OptionShape& option : verb.options) {
            for (const std::string& name : option.names) add(name, option.description);
        }
    }

  private:
    std::string_view begun_;
};

// words: the command line after `rafter`, the last one begun (perhaps empty).
void print_candidates(const VerbShape& app, std::span<const std::string> words) {
    const VerbShape* verb = &app;
    const OptionShape* waiting = nullptr;  // the option whose value comes next
    std::size_t n_positionals = 0;
    for (const std::string& word : words.first(words.size() - 1)) {
        if (word == "=") continue;  // bash parts --name=value in three
        if (waiting != nullptr) {
            waiting = nullptr;
            continue;
        }
        if (word.starts_with('-')) {
            const OptionShape* option = find_option(*verb, word);
            if (option != nullptr && !option->value.empty()) waiting = option;
            continue;
        }
        const VerbShape* inner = nullptr;
        for (const VerbShape& known : verb->verbs) {
            if (known.name == word) inner = &known;
        }
        if (inner != nullptr) {
            verb = inner;
            n_positionals = 0;
        } else {
            ++n_positionals;
        }
    }
    const std::string_view begun = words.back();
    const Candidates candidates(begun == "=" ? std::string_view() : begun);
    if (waiting != nullptr) {
        candidates.add_values(*waiting);
    } else if (words.back().starts_with('-')) {
        candidates.add_options(*verb);
    } else {
        for (const VerbShape& inner : verb->verbs) candidates.add(inner.name, inner.description);
        if (n_positionals < verb->positionals.size()) candidates.add_values(verb->positionals[n_positionals]);
    }
}

}  // namespace

void add_completion(CLI::App& app, Cli& cli) {
    struct Arguments {
        std::string kind;
        std::vector<std::string> words;
    };
    auto arguments = std::make_shared<Arguments>();
    CLI::App* verb = app.add_subcommand("completion", "Print what completes command lines in bash or zsh, or the manual page");
    verb->group("");
    verb->add_option("KIND", arguments->kind)->required()->check(CLI::IsMember({"bash", "zsh", "man", "words"}));
    verb->add_option("WORDS", arguments->words, "A command line so far, after --");
    verb->callback([&app, &cli, arguments] {
        cli.action = [&app, &cli, arguments] {
            if (arguments->kind == "bash") {
                fmt::print("{}", kBash);
            } else if (arguments->kind == "zsh") {
                fmt::print("{}", kZsh);
            } else if (arguments->kind == "man") {
                fmt::print("{}", man_page(shape_of(app, cli)));
            } else if (!arguments->words.empty()) {
                print_candidates(shape_of(app, cli), arguments->words);
            }
            return 0;
        };
    });
}

}  // namespace rafter::apps

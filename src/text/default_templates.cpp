// The built-in templates, written for this project after the published turn formats of each family.
#include "text/default_templates.h"

#include <algorithm>
#include <iterator>

namespace rafter::text {

namespace {

// https://ai.google.dev/gemma/docs/core/prompt-structure: no system role, so its text opens the first user turn.
constexpr std::string_view kGemma = R"jinja({%- macro text_of(content) -%}
{%- if content is string -%}
    {{ content | trim }}
{%- else -%}
    {%- for part in content or [] -%}
        {%- if part.type == 'image' -%}
            {{ '<start_of_image>' }}
        {%- elif part.type == 'text' -%}
            {{ part.text | trim }}
        {%- endif -%}
    {%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{{ bos_token }}
{%- set ns = namespace(opening='') -%}
{%- if messages and messages[0].role in ['system', 'developer'] -%}
    {%- set ns.opening = text_of(messages[0].content) + '\n\n' -%}
    {%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
    {{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
    {{- ns.opening + text_of(message.content) + '<end_of_turn>\n' }}
    {%- set ns.opening = '' -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\n' }}
{%- endif -%}
)jinja";

// https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/
constexpr std::string_view kLlama3Template = R"jinja({{ bos_token }}
{%- for message in messages -%}
    {{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
    {%- if message.content is string -%}
        {{ message.content | trim }}
    {%- else -%}
        {%- for part in message.content or [] if part.type == 'text' -%}
            {{ part.text }}
        {%- endfor -%}
    {%- endif -%}
    {{ '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif -%}
)jinja";

// Mistral 7B Instruct: the system's text opens the last user turn.
constexpr std::string_view kMistral = R"jinja({{ bos_token }}
{%- set system = '' -%}
{%- if messages and messages[0].role == 'system' -%}
    {%- set system = messages[0].content + '\n\n' -%}
    {%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'assistant' -%}
        {{ ' ' + message.content + eos_token }}
    {%- else -%}
        {{ '[INST] ' + (system if loop.revindex <= 2 and not messages[loop.index0 + 1:] | selectattr('role', 'equalto', 'user') | list else '') }}
        {{- message.content + ' [/INST]' }}
    {%- endif -%}
{%- endfor -%}
)jinja";

// https://huggingface.co/microsoft/Phi-3-mini-4k-instruct
constexpr std::string_view kPhi3 = R"jinja({%- for message in messages -%}
    {{ '<|' + message.role + '|>\n' + message.content + '<|end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<|assistant|>\n' }}
{%- endif -%}
)jinja";

// ChatML, with tools in the way that Hermes made common.
constexpr std::string_view kChatMl = R"jinja({%- macro text_of(content) -%}
{%- if content is string -%}
    {{ content }}
{%- else -%}
    {%- for part in content or [] if part.type == 'text' -%}
        {{ part.text }}
    {%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(system='') -%}
{%- if messages and messages[0].role == 'system' -%}
    {%- set ns.system = text_of(messages[0].content) -%}
    {%- set messages = messages[1:] -%}
{%- endif -%}
{%- if tools -%}
    {%- set ns.system = (ns.system + '\n\n' if ns.system else '') + '# Tools\n\nYou may call functions. Their signatures are within <tools></tools>:\n<tools>' -%}
    {%- for tool in tools -%}
        {%- set ns.system = ns.system + '\n' + (tool | tojson) -%}
    {%- endfor -%}
    {%- set ns.system = ns.system + '\n</tools>\n\nFor each call, write a JSON object within <tool_call></tool_call>:\n<tool_call>\n{"name": <function-name>, "arguments": <arguments>}\n</tool_call>' -%}
{%- endif -%}
{%- if ns.system -%}
    {{ '<|im_start|>system\n' + ns.system + '<|im_end|>\n' }}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'tool' -%}
        {{ '<|im_start|>user\n<tool_response>\n' + text_of(message.content) + '\n</tool_response><|im_end|>\n' }}
    {%- else -%}
        {{ '<|im_start|>' + message.role + '\n' + text_of(message.content) }}
        {%- for call in message.tool_calls or [] -%}
            {%- set function = call.function or call -%}
            {{ '\n<tool_call>\n{"name": ' + (function.name | tojson) + ', "arguments": ' }}
            {{- function.arguments if function.arguments is string else function.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor -%}
        {{ '<|im_end|>\n' }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<|im_start|>assistant\n' }}
{%- endif -%}
)jinja";

struct Row {
    DefaultTemplate made;
    std::string_view mark;                 // a token that only this family's vocabularies have
    std::string_view architecture_prefix;  // where the vocabulary does not tell; empty: never
};

constexpr Row kRows[] = {
    {{"gemma", kGemma}, "<start_of_turn>", "gemma"}, {{"llama3", kLlama3Template}, "<|start_header_id|>", ""},
    {{"chatml", kChatMl}, "<|im_start|>", ""},       {{"mistral", kMistral}, "[INST]", ""},
    {{"phi3", kPhi3}, "<|assistant|>", "phi3"},
};
constexpr DefaultTemplate kFallback = {"chatml", kChatMl};

}  // namespace

const DefaultTemplate& default_chat_template(std::string_view architecture, const std::function<bool(std::string_view)>& has_token) {
    const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return has_token(r.mark); });
    if (row == std::end(kRows)) {
        row = std::find_if(std::begin(kRows), std::end(kRows),
                           [&](const Row& r) { return !r.architecture_prefix.empty() && architecture.starts_with(r.architecture_prefix); });
    }
    return row == std::end(kRows) ? kFallback : row->made;
}

}  // namespace rafter::text

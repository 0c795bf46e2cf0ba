// Writes small tokenizer.json files that are right, each with a text, for the fuzzer to start from:  tokenizer_json_fuzz_seeds FOLDER
#include <filesystem>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    const auto write = [&](const char* name, const std::string& json) {
        std::ofstream(folder / name, std::ios::binary) << json << '\0' << "ab  a<s>b \xC3\xA9 12";
    };
    const std::string added =
        R"("added_tokens":[{"id":0,"content":"<s>","special":true},{"id":4,"content":"b ","lstrip":true,"rstrip":true,)"
        R"("single_word":true,"normalized":true}],)";
    const std::string bpe =
        R"("model":{"type":"BPE","vocab":{"<s>":0,"a":1,"b":2,"ab":3},"merges":["a b"],"unk_token":"<s>","fuse_unk":true})";
    write("bytes",
          "{" + added + R"("normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"},)" + bpe + "}");
    write("split",
          "{" + added +
              R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"Lowercase"},{"type":"StripAccents"},)"
              R"({"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "}]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[)"
              R"({"type":"Split","pattern":{"Regex":"\\w+|[^\\w\\s]"},"behavior":"MergedWithNext","invert":true},{"type":"Digits"}]},)" +
              bpe + "}");
    write("marks", "{" + added +
                       R"("normalizer":{"type":"Prepend","prepend":"_"},"pre_tokenizer":{"type":"Metaspace","replacement":"_"},)"
                       R"("decoder":{"type":"Metaspace","replacement":"_"},"post_processor":{"type":"TemplateProcessing","single":)"
                       R"([{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]},)"
                       R"("model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1],["_b",-2],["ab",-1.5]]}})");
    return 0;
}

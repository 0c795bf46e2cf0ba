// MODEL on a command line: paths, folders in Hugging Face's layout, and names.
#include "files/model_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace rafter::files {
namespace {

namespace fs = std::filesystem;

class ModelStore : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::path(testing::TempDir()) / fmt::format("rafter-model-store-{}", getpid());
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    fs::path touch(const fs::path& name) {
        fs::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name) << "x";
        return folder_ / name;
    }
    [[nodiscard]] Result<fs::path> find(const std::string& model) const {
        const std::vector<fs::path> folders{folder_ / "first", folder_ / "second"};
        return find_model(model, folders);
    }
    [[nodiscard]] std::string message(const std::string& model) const { return find(model).error().message; }
    fs::path folder_;
};

TEST_F(ModelStore, TakesAPathAsItIs) {
    const fs::path path = touch("a file.bin");
    EXPECT_EQ(find(path.string()).value(), path);
}

TEST_F(ModelStore, FindsTheOneModelOfAFolder) {
    const fs::path path = touch("x/Model.GGUF");
    touch("x/mmproj-model.gguf");
    touch("x/readme.md");
    EXPECT_EQ(find((folder_ / "x").string()).value(), path);
}

TEST_F(ModelStore, TakesTheFirstPartOfASplitModel) {
    const fs::path path = touch("x/m-00001-of-00003.gguf");
    touch("x/m-00002-of-00003.gguf");
    touch("x/m-00003-of-00003.gguf");
    EXPECT_EQ(find((folder_ / "x").string()).value(), path);
}

TEST_F(ModelStore, FollowsTheRevisionOfAHubFolder) {
    touch("hub/snapshots/aaa/m.gguf");
    const fs::path path = touch("hub/snapshots/bbb/m.gguf");
    fs::create_directories(folder_ / "hub/refs");
    std::ofstream(folder_ / "hub/refs/main") << "bbb";
    EXPECT_EQ(find((folder_ / "hub").string()).value(), path);
    std::ofstream(folder_ / "hub/refs/main") << "../../elsewhere";
    EXPECT_TRUE(find((folder_ / "hub").string()).has_value());
}

TEST_F(ModelStore, LooksIntoSubFoldersWhereAFolderHasNone) {
    const fs::path path = touch("hub/snapshots/aaa/Q4_K_M/m-00001-of-00002.gguf");
    touch("hub/snapshots/aaa/Q4_K_M/m-00002-of-00002.gguf");
    touch("hub/snapshots/aaa/vision/mmproj-m.gguf");
    EXPECT_EQ(find((folder_ / "hub").string()).value(), path);
    EXPECT_EQ(find((folder_ / "hub/snapshots/aaa").string()).value(), path);
    const fs::path other = touch("hub/snapshots/aaa/Q8_0/m.gguf");
    EXPECT_TRUE(message((folder_ / "hub").string()).ends_with("found 2; name one of them:\n  " + path.string() + "\n  " + other.string()));
    touch("deep/1/2/3/4/5/m.gguf");
    EXPECT_FALSE(find((folder_ / "deep").string()));
}

TEST_F(ModelStore, ListsTheModelsOfAFolderThatHasSeveral) {
    const fs::path a = touch("x/a.gguf");
    const fs::path b = touch("x/b.gguf");
    EXPECT_EQ(message((folder_ / "x").string()), (folder_ / "x").string() +
                                                     ": expected one model in this folder, found 2; name one of them:\n  " + a.string() +
                                                     "\n  " + b.string());
}

TEST_F(ModelStore, NamesAFolderWithoutModels) {
    fs::create_directories(folder_ / "empty");
    EXPECT_EQ(
        message((folder_ / "empty").string()),
        (folder_ / "empty").string() +
            ": expected a .gguf file, or config.json and .safetensors files, in this folder, its sub-folders or its snapshots, found none");
}

TEST_F(ModelStore, FindsNamesInAnyCaseTheFirstFolderFirst) {
    const fs::path second = touch("second/Tiny.Q4_K.gguf");
    EXPECT_EQ(find("tiny.q4_k").value(), second);
    EXPECT_EQ(find("TINY.Q4_K.gguf").value(), second);
    const fs::path first = touch("first/tiny.q4_k.gguf");
    EXPECT_EQ(find("tiny.q4_k").value(), first);
}

TEST_F(ModelStore, FindsKnownModelsUnderEitherOfTheirNames) {
    EXPECT_EQ(message("smollm2-135m-instruct"),
              "SmolLM2-135M-Instruct is not on this machine yet; get it with: rafter models get SmolLM2-135M-Instruct");
    EXPECT_EQ(find_model("smollm2-135m-instruct", {}).error().message,
              "\"smollm2-135m-instruct\": no such file or folder, and no models folder is given to find a name in");
    const fs::path elsewhere = touch("second/SmolLM2-135M-Instruct.Q4_1.gguf");
    EXPECT_EQ(find("SMOLLM2-135M-instruct").value(), elsewhere);
    const fs::path ours = touch("second/SmolLM2-135M-Instruct.gguf");
    EXPECT_EQ(find("SMOLLM2-135M-instruct").value(), ours);
}

TEST_F(ModelStore, SaysWhatIsKnownWhenNothingFits) {
    EXPECT_NE(message("nonsense").find("\"nonsense\": no such file or folder, and no model of this name"), std::string::npos);
    EXPECT_NE(message("nonsense").find("SmolLM2-135M-Instruct, gemma-3-270m"), std::string::npos);
    EXPECT_EQ(message(""), "expected a model's name or path, found an empty one");
    EXPECT_EQ(message("a\nb").find('\n'), std::string::npos);
}

}  // namespace
}  // namespace rafter::files

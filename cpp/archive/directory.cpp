/// archive/directory.cpp - objects as files: written aside, made durable, and only then given their name.
#include "archive/directory.hpp"

#include <algorithm>

namespace dvesp::archive {
namespace {

constexpr const char* objects_directory = "objects";
constexpr std::string_view unfinished = ".part";
constexpr std::size_t copy_bytes = std::size_t{1} << 20;

class DirectoryTarget final : public Target {
  public:
    DirectoryTarget(std::unique_ptr<ports::Files> files, std::unique_ptr<ports::Random> random)
        : files_(std::move(files)), random_(std::move(random)) {}

    [[nodiscard]] std::string describe() const override { return "directory " + files_->describe(""); }
    [[nodiscard]] std::string identity() const override { return "directory\n" + files_->describe(""); }

    Result<std::string> put(const ObjectName& name, ports::ByteSource& content) override {
        DVESP_ASSIGN(const bool is_there, has(name));
        if (is_there) return std::string();
        DVESP_TRY(files_->make_directory(objects_directory));
        const std::string path = path_of(name);
        const std::string aside = path + aside_suffix();
        const auto written = write(aside, name, content);
        if (written.ok()) {
            DVESP_TRY(files_->rename(aside, path));
            DVESP_TRY(files_->sync_directory(objects_directory));
            return std::string();
        }
        static_cast<void>(files_->remove(aside).ok());  // a name that nobody looks for
        return written.error();
    }

    Result<bool> has(const ObjectName& name) override {
        DVESP_ASSIGN(const bool is_there, files_->exists(path_of(name)));
        if (!is_there) return false;
        DVESP_ASSIGN(const auto file, files_->open(path_of(name), ports::Access::buffered));
        DVESP_ASSIGN(const std::uint64_t size, file->size());
        return size == name.bytes;
    }

    Result<void> get(const ObjectName& name, const ports::ByteSink& sink) override {
        const std::string path = path_of(name);
        DVESP_ASSIGN(const bool is_there, files_->exists(path));
        if (!is_there) return fail(ErrorCode::corruption, files_->describe(path) + ": the object is missing");
        DVESP_ASSIGN(const auto file, files_->open(path, ports::Access::buffered));
        std::vector<std::uint8_t> buffer(copy_bytes);
        Sha256 hasher;
        hasher.start();
        for (std::uint64_t done = 0; done < name.bytes;) {
            const std::uint64_t wanted = std::min<std::uint64_t>(copy_bytes, name.bytes - done);
            DVESP_ASSIGN(const std::size_t count, file->read(done, MutableBytes(buffer).first(wanted)));
            if (count == 0) return fail(ErrorCode::corruption, files_->describe(path) + ": the object is cut off");
            hasher.update(ByteView(buffer).first(count));
            DVESP_TRY(sink(ByteView(buffer).first(count)));
            done += count;
        }
        if (hasher.finish() != name.sha256)
            return fail(ErrorCode::integrity, files_->describe(path) + ": the content is not what the name says");
        return {};
    }

    Result<void> remove(const ObjectName& name) override { return files_->remove(path_of(name)); }

    Result<std::vector<ObjectName>> list() override {
        DVESP_ASSIGN(const auto names, files_->list(objects_directory));
        std::vector<ObjectName> out;
        for (const std::string& text : names) {
            ObjectName name;
            if (!from_hex(text, name.sha256)) continue;
            DVESP_ASSIGN(const auto file, files_->open(path_of(name), ports::Access::buffered));
            DVESP_ASSIGN(name.bytes, file->size());
            out.push_back(name);
        }
        return out;
    }

    Result<void> put_document(const std::string& name, ByteView bytes) override {
        DVESP_TRY(check_document_name(name));
        DVESP_TRY(files_->make_directory(""));
        const std::string aside = name + aside_suffix();
        DVESP_TRY(write_document(aside, bytes));
        DVESP_TRY(files_->rename(aside, name));
        return files_->sync_directory("");
    }

    Result<std::optional<std::vector<std::uint8_t>>> get_document(const std::string& name) override {
        DVESP_TRY(check_document_name(name));
        DVESP_ASSIGN(const bool is_there, files_->exists(name));
        if (!is_there) return std::optional<std::vector<std::uint8_t>>();
        DVESP_ASSIGN(const auto file, files_->open(name, ports::Access::buffered));
        DVESP_ASSIGN(const std::uint64_t size, file->size());
        if (size > document_bytes_max) return fail(ErrorCode::corruption, files_->describe(name) + ": impossibly large");
        std::vector<std::uint8_t> bytes(size);
        DVESP_ASSIGN(const std::size_t count, file->read(0, bytes));
        bytes.resize(count);
        return std::optional(std::move(bytes));
    }

    Result<void> remove_document(const std::string& name) override {
        DVESP_TRY(check_document_name(name));
        return files_->remove(name);
    }

    Result<std::vector<std::string>> list_documents() override {
        DVESP_ASSIGN(auto names, files_->list(""));
        std::erase_if(names, [](const std::string& name) { return !is_document_name(name); });
        return names;
    }

    Result<void> clean_up() override {
        for (const std::string& directory : {std::string(), std::string(objects_directory)}) {
            DVESP_ASSIGN(const auto names, files_->list(directory));
            for (const std::string& name : names) {
                if (name.find(unfinished) == std::string::npos) continue;
                DVESP_TRY(files_->remove(directory.empty() ? name : directory + "/" + name));
            }
        }
        return {};
    }

  private:
    static std::string path_of(const ObjectName& name) { return std::string(objects_directory) + "/" + to_hex(name.sha256); }

    std::string aside_suffix() {
        std::array<std::uint8_t, 8> unique{};
        const std::scoped_lock lock(mutex_);
        random_->fill(unique);
        return std::string(unfinished) + to_hex(unique);
    }

    Result<void> write(const std::string& path, const ObjectName& name, ports::ByteSource& content) {
        DVESP_ASSIGN(const auto file, files_->create(path, 0, ports::Access::buffered));
        std::vector<std::uint8_t> buffer(copy_bytes);
        Sha256 hasher;
        hasher.start();
        for (std::uint64_t done = 0; done < content.size();) {
            const MutableBytes part = MutableBytes(buffer).first(std::min<std::uint64_t>(copy_bytes, content.size() - done));
            DVESP_TRY(content.read(done, part));
            hasher.update(part);
            DVESP_TRY(file->write(done, part));
            done += part.size();
        }
        if (hasher.finish() != name.sha256) return fail(ErrorCode::integrity, "an object is not what its name says");
        return file->sync();
    }

    Result<void> write_document(const std::string& path, ByteView bytes) {
        DVESP_ASSIGN(const auto file, files_->create(path, 0, ports::Access::buffered));
        DVESP_TRY(file->write(0, bytes));
        return file->sync();
    }

    std::unique_ptr<ports::Files> files_;
    std::unique_ptr<ports::Random> random_;
    std::mutex mutex_;  ///< guards random_
};

}  // namespace

std::unique_ptr<Target> make_directory_target(std::unique_ptr<ports::Files> files, std::unique_ptr<ports::Random> random) {
    return std::make_unique<DirectoryTarget>(std::move(files), std::move(random));
}

}  // namespace dvesp::archive

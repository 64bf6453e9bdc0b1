/// os/authority.cpp - reading a key without leaving copies of it.
#include "os/authority.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/file.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "os/certificates.hpp"
#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

Error refuse(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

/// Bytes of a private key; wiped at the end.
class SecretBytes {
  public:
    ~SecretBytes() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
    SecretBytes() = default;
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    [[nodiscard]] std::array<std::uint8_t, 16'384>& bytes() noexcept { return bytes_; }

  private:
    std::array<std::uint8_t, 16'384> bytes_{};
};

/// Into memory of ours alone: stdio would leave a copy of the key in its buffer.
Result<std::size_t> read_secret(const std::string& path, SecretBytes& into) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open() && errno == ENOENT)
        return refuse("there is no CA: '" + path + "' is missing (`dvesp ca init` makes one)");
    if (!file.is_open()) return system_error(errno, "open", path);
    std::size_t size = 0;
    while (size < into.bytes().size()) {
        const ssize_t count = ::read(file.number(), into.bytes().data() + size, into.bytes().size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_error(errno, "read", path);
        if (count == 0) return size;
        size += static_cast<std::size_t>(count);
    }
    return refuse("'" + path + "' is too long for a key");
}

/// Instead of asking at a terminal that a server does not have.
int no_password(char*, int, int, void*) { return -1; }

Result<OwnedKey> read_key(const std::string& path) {
    SecretBytes secret;
    DVESP_ASSIGN(const std::size_t size, read_secret(path, secret));
    ERR_clear_error();
    const OwnedBio text(BIO_new_mem_buf(secret.bytes().data(), static_cast<int>(size)));
    OwnedKey key(text ? PEM_read_bio_PrivateKey(text.get(), nullptr, &no_password, nullptr) : nullptr);
    ERR_clear_error();
    if (!key) return refuse("there is no private key without a password in '" + path + "'");
    return key;
}

Result<Descriptor> lock_of(const std::string& path) {
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open() && errno == ENOENT)
        return refuse("there is no CA: '" + path + "' is missing (`dvesp ca init` makes one)");
    if (!file.is_open()) return system_error(errno, "open", path);
    while (::flock(file.number(), LOCK_EX) != 0) {
        if (errno != EINTR) return system_error(errno, "lock", path);
    }
    return file;
}

}  // namespace

Result<Authority> read_authority(const std::string& directory) {
    const std::filesystem::path folder(directory);
    const std::string path = (folder / ca_certificate_file).string();
    Authority out;
    DVESP_ASSIGN(out.lock, lock_of(path));
    DVESP_ASSIGN(out.key, read_key((folder / ca_key_file).string()));
    const OwnedBio file(BIO_new_file(path.c_str(), "r"));
    out.certificate.reset(file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
    ERR_clear_error();
    if (!out.certificate) return refuse("there is no PEM certificate in '" + path + "'");
    if (X509_check_ca(out.certificate.get()) != 1) return refuse("'" + path + "' is no CA's certificate");
    if (X509_check_private_key(out.certificate.get(), out.key.get()) != 1) {
        ERR_clear_error();
        return refuse("the key '" + (folder / ca_key_file).string() + "' does not belong to '" + path + "'");
    }
    return out;
}

}  // namespace dvesp::os

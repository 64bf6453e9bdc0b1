# cmake/toolchain.cmake - language level, warnings, build types, sanitizers and the compiler cache.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_UNITY_BUILD OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG -g1")  # -g1: line numbers for profilers and crash reports, little else
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")

# No compiler may fuse a multiply and an add by itself: distances must be equal bits on every machine and path.
add_compile_options(-ffp-contract=off)

# Two build trees of one checkout (preset release and the wheel) compile to the same bytes, so the cache serves both.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
find_program(DVESP_CCACHE ccache)
mark_as_advanced(DVESP_CCACHE)
if(DVESP_CCACHE AND NOT DVESP_COVERAGE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_NOHASHDIR=1 "${DVESP_CCACHE}")
endif()

add_library(dvesp_warnings INTERFACE)
target_compile_options(dvesp_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(dvesp_warnings INTERFACE -Wno-restrict)  # false alarms of g++ 12 on "text" + std::string (PR 105651)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # clang counts sign conversions as -Wconversion, g++ (the primary compiler) does not: both shall ask the same.
    target_compile_options(dvesp_warnings INTERFACE -Wno-sign-conversion)
endif()
if(DVESP_WERROR)
    target_compile_options(dvesp_warnings INTERFACE -Werror)
endif()

if(DVESP_SANITIZE)
    add_compile_options("-fsanitize=${DVESP_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options("-fsanitize=${DVESP_SANITIZE}")
endif()
if(DVESP_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(DVESP_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()

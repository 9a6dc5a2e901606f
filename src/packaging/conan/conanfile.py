"""conan create src/packaging/conan --version 0.1.0 -o "outlay/*:sqlite=True" """

import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy

# What each component rests on, of this library and of others.
COMPONENTS = {
    "json": ([], ["boost/[>=1.81.0]"]),
    "curl": (["json"], ["libcurl/[>=7.61 <9]"]),
    "httplib": (["json"], ["cpp-httplib/[>=0.11]"]),
    "asio": (["json"], []),
    "http": (["asio"], ["openssl/[>=3 <4]"]),
    "gateway": (["http"], []),
    "otel": (["http"], ["zlib/[>=1.2.11 <2]"]),
    "sqlite": ([], ["sqlite3/[>=3.40]"]),
    "redis": ([], ["boost/[>=1.81.0]", "hiredis/[>=1.0.0]"]),
    "spdlog": ([], ["spdlog/[>=1.10.0]"]),
    "testing": ([], []),
}


class Outlay(ConanFile):
    name = "outlay"
    description = "Keeps LLM spend inside budgets"
    license = "Apache-2.0"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], **{name: [True, False] for name in COMPONENTS}}
    default_options = {"shared": False, **{name: False for name in COMPONENTS}}

    def export_sources(self):
        tree = os.path.join(self.recipe_folder, "..", "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "src/*"):
            copy(self, pattern, tree, self.export_sources_folder)

    def _wanted(self):
        """The components that are asked for, and those on which they rest."""
        wanted, ahead = set(), [name for name in COMPONENTS if self.options.get_safe(name)]
        while ahead:
            name = ahead.pop()
            if name not in wanted:
                wanted.add(name)
                ahead += COMPONENTS[name][0]
        return wanted

    def validate(self):
        check_min_cppstd(self, 20)

    def requirements(self):
        # A header of outlay's may include what json and asio rest on.
        packages = {"date/[>=3.0.1 <4]"}
        for name in self._wanted():
            packages.update(COMPONENTS[name][1])
        for package in sorted(packages):
            self.requires(package, transitive_headers=True)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        wanted = self._wanted()
        for name in COMPONENTS:
            toolchain.cache_variables["OUTLAY_WITH_" + name.upper()] = name in wanted
        for name in ("WITH_CLI", "BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_BENCH"):
            toolchain.cache_variables["OUTLAY_" + name] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        # outlay's own files for find_package know its components.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "outlay")]

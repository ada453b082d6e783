-- What is delivered: the rock, the installed files, the module's outside, one
-- version, and that all of it is written down.

local process = require "process"
local run = require("shell").run

local abi = assert(os.getenv "ABI", "run me with: make test SPEC=spec/packaging_spec.lua")
local lua = assert(os.getenv "LUA")
local lua_version = abi == "5.4" and "5.4" or "5.1"
local rockspec_path = "rockspec/job_tracker-0.1.0-1.rockspec"

-- What is installed as it stands.
local LUA_FILES = "find src -mindepth 2 -name '*.lua' -o -mindepth 2 -name '*.html'"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function succeed(command)
  local output, status = run(command)
  assert.are.equal(0, status, command .. ":\n" .. output)
  return output
end

---The lines that a shell command prints, sorted.
local function lines_of(command)
  local lines = {}
  for line in succeed(command):gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  return lines
end

local function load_rockspec()
  local rockspec = {}
  assert(loadfile(rockspec_path, "t", rockspec))()
  return rockspec
end

local function sorted_words(text)
  local words = {}
  for word in text:gmatch("%S+") do
    words[#words + 1] = word
  end
  table.sort(words)
  return words
end

describe("the rockspec", function()
  it("names every C source, and nothing else", function()
    local sources = lines_of("ls src/*.c src/store/*.c")
    assert.is_true(#sources > 1)
    assert.are.same(sources, sorted_words(load_rockspec().build.build_variables.SOURCES))
  end)

  -- luarocks keeps the name of what is not a Lua file: page_html is installed as page.html.
  it("names every Lua file and what lies beside it, and nothing else", function()
    local expected = {}
    for _, path in ipairs(lines_of(LUA_FILES)) do
      local module = path:match("^src/(.*)$"):gsub("%.lua$", ""):gsub("%.", "_"):gsub("/init$", "")
      expected[module:gsub("/", ".")] = path
    end
    assert.are.same(expected, load_rockspec().build.install.lua or {})
  end)

  it("is the only one", function()
    assert.are.same({ rockspec_path }, lines_of("ls rockspec/*"))
  end)
end)

describe("the version", function()
  local version = require("job_tracker")._VERSION

  it("is of three numbers", function()
    assert.matches("^%d+%.%d+%.%d+$", version)
  end)

  it("is the one in src/version.h", function()
    assert.are.equal(version, read("src/version.h"):match('#define%s+JT_VERSION%s+"([^"]*)"'))
  end)

  it("stands in one place of the sources", function()
    assert.are.same({ "src/version.h" }, lines_of("grep -rlF '\"" .. version .. "\"' src"))
  end)

  it("is the rock's", function()
    local rockspec = load_rockspec()
    assert.are.equal(version, rockspec.version:match("^(.*)%-%d+$"))
    assert.are.equal(rockspec_path, "rockspec/" .. rockspec.package .. "-" .. rockspec.version
      .. ".rockspec")
    assert.is_truthy(rockspec.source.url:find(version, 1, true))
    assert.is_truthy(rockspec.source.dir:find(version, 1, true))
  end)

  it("is the newest in CHANGELOG.md", function()
    assert.are.equal(version, read("CHANGELOG.md"):match("\n## %[(%d[^%]]*)%]"))
  end)
end)

describe("make install", function()
  local folder, module_path

  -- A build of its own: this one may be under a sanitizer, whose library no tool
  -- below should load. Both Luas' runs of this file use it, one after the other.
  local function make(target)
    return succeed("mkdir -p build && env -u LD_PRELOAD flock build/packaging.lock"
      .. " make BUILD=build/packaging SANITIZE= V=1 DESTDIR="
      .. folder .. " PREFIX=/opt " .. target)
  end

  setup(function()
    folder = assert(process.mkdtemp())
    module_path = folder .. "/opt/lib/lua/" .. lua_version .. "/job_tracker.so"
    make("install")
  end)

  teardown(function()
    succeed("rm -rf " .. folder)
  end)

  local function readelf(options)
    return succeed("env -u LD_PRELOAD readelf --wide " .. options .. " " .. module_path)
  end

  it("installs a module that works", function()
    local version = succeed(("LUA_PATH='%s/share/lua/%s/?.lua' LUA_CPATH='%s/lib/lua/%s/?.so'"
      .. " %s tools/smoke.lua %s"):format(folder .. "/opt", lua_version, folder .. "/opt",
      lua_version, lua, folder))
    assert.are.equal(require("job_tracker")._VERSION .. "\n", version)
  end)

  it("installs for both versions, and the Lua files beside", function()
    local expected = {
      folder .. "/opt/lib/lua/5.1/job_tracker.so", folder .. "/opt/lib/lua/5.4/job_tracker.so",
    }
    for _, path in ipairs(lines_of(LUA_FILES)) do
      for _, version in ipairs({ "5.1", "5.4" }) do
        expected[#expected + 1] = folder .. "/opt/share/lua/" .. version .. path:sub(4)
      end
    end
    table.sort(expected)
    assert.are.same(expected, lines_of("find " .. folder .. " -type f"))
  end)

  it("links the libraries that it names, and no Lua", function()
    local dynamic = readelf("--dynamic")
    assert.is_truthy(dynamic:find("[libjansson.", 1, true))
    assert.is_truthy(dynamic:find("[libuuid.", 1, true))
    assert.is_nil(dynamic:find("%[liblua[^%]]*%]"))
  end)

  it("stays loaded when its Lua state ends", function()
    assert.matches("Flags:[^\n]*NODELETE", readelf("--dynamic"))
  end)

  it("shows nothing but luaopen_job_tracker", function()
    local shown = {}
    for line in readelf("--dyn-syms"):gmatch("[^\n]+") do
      local section, name = line:match("DEFAULT%s+(%w+)%s+(%S+)")
      if section and section ~= "UND" then
        shown[#shown + 1] = name
      end
    end
    assert.are.same({ "luaopen_job_tracker" }, shown)
  end)

  it("is undone by make uninstall", function()
    local others = folder .. "/opt/share/lua/5.4/job_tracker/theirs.lua"
    succeed("touch " .. others)
    make("uninstall")
    assert.are.same({ others }, lines_of("find " .. folder .. " -type f"))
    assert.are.same({ (others:gsub("/theirs.lua$", "")) },
      lines_of("find " .. folder .. "/opt -type d -name job_tracker -o -name pipeline"))
    succeed("rm " .. others)
    make("uninstall")
    assert.are.same({}, lines_of("find " .. folder .. "/opt -name job_tracker"))
    make("install")
  end)
end)

describe("require", function()
  it("sets no global", function()
    local script = [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      require "job_tracker"
      for name in pairs(_G) do
        if not before[name] then print(name) end
      end]]
    assert.are.equal("", succeed(lua .. " -e '" .. script .. "'"))
  end)

  it("gives JobTracker, JobStatus, null, now and _VERSION", function()
    local names = {}
    for name in pairs(require "job_tracker") do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.are.same({ "JobStatus", "JobTracker", "_VERSION", "now", "null" }, names)
  end)
end)

describe("every public name is documented", function()
  local job_tracker = require "job_tracker"

  ---A word, and if it is a function then with its arguments: in () or {}.
  local function mentions(text, name, value)
    local pattern = "%f[%w_]" .. name .. "%f[^%w_]"
    return text:find(type(value) == "function" and pattern .. "%s*[({]" or pattern) ~= nil
  end

  local function undocumented(names, text)
    local missing = {}
    for name, value in pairs(names) do
      if not name:find("^__") and not mentions(text, name, value) then
        missing[#missing + 1] = name
      end
    end
    table.sort(missing)
    return missing
  end

  ---The names of a new job's fields, absent ones included.
  local function fields()
    local tracker = job_tracker.JobTracker
    local id = assert(tracker.create_job("documented"))
    local names = tracker.get_job(id):to_dict(job_tracker.null)
    assert(tracker.delete_job(id))
    assert(names.task_id and names.finished_at)
    return names
  end

  for _, path in ipairs({ "README.md", "src/job_tracker.meta.lua" }) do
    it("in " .. path, function()
      local text = read(path)
      assert.are.same({}, undocumented(job_tracker, text))
      assert.are.same({}, undocumented(job_tracker.JobTracker, text))
      assert.are.same({}, undocumented(job_tracker.JobStatus, text))
      assert.are.same({}, undocumented(fields(), text))
      assert.are.same({}, undocumented(job_tracker.JobTracker.stats(), text))
    end)
  end

  it("and nothing is that does not exist", function()
    local text, count = read("src/job_tracker.meta.lua"), 0
    for class, name in text:gmatch("\nfunction%s+(%w+)[.:]([%w_]+)") do
      assert.is_function((job_tracker[class] or {})[name], class .. "." .. name)
      count = count + 1
    end
    assert.is_true(count > 10)
  end)
end)

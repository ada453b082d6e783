-- Pipelines in a worker of nginx: all that pipeline_spec.lua says of them holds there too,
-- in a timer, where a pause lets the worker do other things.

local cjson = require "cjson"
local nginx_server = require "nginx_server"
local status_server = require "status_server"
local store_file = require "store_file"

local SPEC = "spec/job_tracker/pipeline_spec.lua"

-- What cannot be tried there, and why.
local EXCLUDED = {
  ["a wish to cancel ends the wait before a retry at once"] = "it forks, which a worker cannot",
  ["a run ends with Ctrl-C, and is not tried again"] = "a worker leaves signals to nginx",
  ["a run owns its job: killed, it is seen as failed in its step"] = "it forks, too",
}

-- What the worker needs to find the specs' modules.
local INIT = ([[
  package.path = "%s/spec/support/?.lua;" .. package.path
  package.cpath = "%s/luajit/support/?.so;" .. package.cpath
]]):format(nginx_server.root, nginx_server.build)

-- The names of the tests in the file, as busted lists them.
local function names_in(file)
  local pipe = assert(io.popen(('%s "$(command -v busted)" --list %s'):format(
    os.getenv("LUA"), file)))
  local names = {}
  for line in pipe:lines() do
    names[#names + 1] = assert(line:match("^" .. file:gsub("%p", "%%%0") .. ":%d+: (.*)$"), line)
  end
  pipe:close()
  return names
end

-- Runs the file in a worker, and returns what became of each test.
local function run_in_nginx()
  local server = status_server.start { workers = 1, init = INIT, main = "user root;",
    server = "location = /run { content_by_lua_block { require('busted_in_nginx').answer("
      .. ("%q, require('cjson').decode(%q))"):format(SPEC, cjson.encode(EXCLUDED)) .. " } }" }
  local answer = server:request("/run", "--max-time", "70").body
  server:stop()
  local read, outcomes = pcall(cjson.decode, answer)
  assert(read, answer .. server:log())
  return outcomes
end

after_each(function()
  status_server.stop_all()
  store_file.clean()
end)

describe("in a worker of nginx:", function()
  local outcomes, count = nil, 0

  setup(function() outcomes = run_in_nginx() end)

  local function outcome_of(name)
    for _, outcome in ipairs(outcomes) do
      if outcome.name == name then return outcome end
    end
    error("not run there: " .. name)
  end

  for _, name in ipairs(names_in(SPEC)) do
    if not EXCLUDED[name] then
      count = count + 1
      it(name, function()
        local outcome = outcome_of(name)
        assert(outcome.status == "success", outcome.message or outcome.status)
      end)
    end
  end

  it("nothing else fails, and only what is named here is left out", function()
    for _, outcome in ipairs(outcomes) do
      assert(outcome.status == "success", outcome.name .. ": " .. tostring(outcome.message))
    end
    assert.equal(count, #outcomes)
    local excluded = 0
    for _ in pairs(EXCLUDED) do excluded = excluded + 1 end
    assert.equal(#names_in(SPEC), count + excluded)
  end)
end)

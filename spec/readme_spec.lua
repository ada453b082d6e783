-- The README's examples, run as they stand: what a Lua block prints must be what
-- the comments behind "-->" say, and the nginx block must serve a job.

local process = require "process"
local fresh = require "fresh"
local nginx_server = require "nginx_server"
local store_file = require "store_file"
local wait_until = require "wait_until"

local readme = store_file.read("README.md")

local function blocks(language)
  local found = {}
  for block in readme:gmatch("```" .. language .. "\n(.-)```") do found[#found + 1] = block end
  return found
end

-- Ids and columns differ from run to run and from terminal to page.
local function normal(line)
  return (line:gsub("_%x%x%x%x%x%x%x%x", "_9f3c2a1b"):gsub("%s+", " "))
end

local function expected_lines(block)
  local lines = {}
  for line in block:gmatch("%-%->%s*([^\n]*)") do lines[#lines + 1] = normal(line) end
  return lines
end

local function run_block(block)
  return fresh.run(function(text)
    local chunk = assert((loadstring or load)(text)) -- luacheck: ignore 113
    chunk()
  end, block)
end

describe("the README", function()
  after_each(function()
    fresh.end_all()
    store_file.clean()
  end)

  local lua_blocks = blocks("lua")

  it("has Lua examples", function() assert.is_true(#lua_blocks >= 2) end)

  for number, block in ipairs(lua_blocks) do
    it("says what its Lua example " .. number .. " prints", function()
      local own = block:gsub('"/dev/shm/[^"]*"', function()
        return ("%q"):format(store_file.path())
      end, 1)
      local path = own:match('open%("([^"]*)"')
      if path then own = own:gsub('"/dev/shm/[^"]*"', ("%q"):format(path)) end
      local printed = {}
      for line in run_block(own):gmatch("[^\n]+") do printed[#printed + 1] = normal(line) end
      local expected = expected_lines(block)
      assert.equal(#expected, #printed)
      for index, line in ipairs(expected) do
        local prefix = line:match("^(.*)%.%.%.$")
        assert.equal(prefix or line, prefix and printed[index]:sub(1, #prefix) or printed[index])
      end
    end)
  end

  -- Runs the text of an http block in nginx, on this port; at the end of the test it ends.
  local function start_nginx(http, port)
    local folder = store_file.folder()
    local settings = {}
    for _, name in ipairs({ "client_body", "fastcgi", "proxy", "scgi", "uwsgi" }) do
      settings[#settings + 1] = ("%s_temp_path %s/%s;"):format(name, folder, name)
    end
    store_file.write(folder .. "/nginx.conf", table.concat({
      "load_module /usr/lib/nginx/modules/ndk_http_module.so;",
      "load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;",
      "daemon off; pid nginx.pid; error_log error.log; events { }",
      "http { access_log off;", table.concat(settings, "\n"),
      ('lua_package_path "%s/src/?.lua;;";'):format(nginx_server.root),
      ('lua_package_cpath "%s/luajit/?.so;;";'):format(nginx_server.build),
      (http:gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. port)), "}",
    }, "\n"))
    local environment = { PATH = os.getenv("PATH") .. ":/usr/sbin:/sbin",
      LUA_PATH = false, LUA_CPATH = false }
    local pid = assert(process.spawn({ "setpriv", "--pdeathsig", "TERM",
      "nginx", "-p", folder, "-c", "nginx.conf", env = environment,
      stdout = folder .. "/stdout", stderr = folder .. "/stderr" }))
    finally(function()
      process.kill(pid, "TERM")
      process.wait(pid, 10)
    end)
  end

  local function curl(port, path, more)
    local pipe = assert(io.popen(("curl -s -i --max-time 5 %s http://127.0.0.1:%d/%s")
      :format(more or "", port, path)))
    local answer = pipe:read("*a")
    pipe:close()
    return answer
  end

  local nginx_blocks = blocks("nginx")

  it("has an nginx example that serves a job", function()
    local store, port = store_file.path(), process.free_port()
    local jobs = assert(require("job_tracker").JobTracker.open(store))
    local id = jobs.create_job("chapter")
    start_nginx(assert(nginx_blocks[1]):gsub('"/dev/shm/[^"]*"', ("%q"):format(store)), port)
    local function get(name, more) return curl(port, "jobs/" .. name, more) end
    wait_until(function() return get(id) ~= "" end, "nginx to answer")
    local answer = get(id)
    assert.truthy(answer:find("200 OK", 1, true), answer)
    assert.truthy(answer:find(jobs.get_json(id), 1, true), answer)
    local tag = assert(answer:match('ETag: ("%d+")'))
    assert.truthy(get(id, "-H 'If-None-Match: " .. tag .. "'"):find("304 Not Modified", 1, true))
    assert.truthy(get("chapter_00000000"):find("404 Not Found", 1, true))
    jobs.close()
  end)

  it("has an nginx example that runs a job, to be cancelled", function()
    local port = process.free_port()
    local rest, replaced = nginx_blocks[1]:gsub("init_by_lua_block {.-\n}\n", "", 1)
    assert.equal(1, replaced)
    local own = assert(nginx_blocks[2]):gsub('"/dev/shm/[^"]*"', ("%q"):format(store_file.path()))
    start_nginx(own .. rest, port)
    wait_until(function() return curl(port, "jobs") ~= "" end, "nginx to answer")
    local json = "-H 'Content-Type: application/json' -d "
    local answer = curl(port, "jobs", json .. "'{}'")
    assert.truthy(answer:find("400 Bad Request", 1, true), answer)
    answer = curl(port, "jobs", json .. [['{"reader":"beginners"}']])
    local path = assert(answer:match("202 Accepted.*Location: /(jobs/chapter_%x+)"), answer)
    wait_until(function()
      return curl(port, path):find('"status":"running"', 1, true)
    end, "the job to run")
    answer = curl(port, path .. "/cancel", "-X POST")
    assert.truthy(answer:find("202 Accepted", 1, true), answer)
    wait_until(function()
      return curl(port, path):find('"error":"cancelled: on request"', 1, true)
    end, "the job to end")
  end)
end)

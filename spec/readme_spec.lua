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
      own = own:gsub("step:pause%(5%)", "step:pause(0.05)")
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

  local modules, setup, runs_jobs = (table.unpack or unpack)(blocks("nginx"))

  -- Runs the text of an http block in nginx, on this port; at the end of the test it ends.
  local function start_nginx(http, port)
    local folder = store_file.folder()
    local settings = {}
    for _, name in ipairs({ "client_body", "fastcgi", "proxy", "scgi", "uwsgi" }) do
      settings[#settings + 1] = ("%s_temp_path %s/%s;"):format(name, folder, name)
    end
    store_file.write(folder .. "/nginx.conf", table.concat({
      modules,
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

  -- The setup's text, which serves this file.
  local function serving(store)
    return (assert(setup):gsub('"/dev/shm/[^"]*"', ("%q"):format(store)))
  end

  -- What a command of the README prints, asked of that server with what the pairs say.
  local function output_of(command, port, pairs_of_texts)
    local text = command:gsub("127%.0%.0%.1:8080", "127.0.0.1:" .. port)
    for old, new in pairs(pairs_of_texts) do text = text:gsub(old, new) end
    local pipe = assert(io.popen(text .. " -s --max-time 3"))
    local output = pipe:read("*a")
    pipe:close()
    return output
  end

  it("has an nginx example that serves a job", function()
    local store, port = store_file.path(), process.free_port()
    local jobs = assert(require("job_tracker").JobTracker.open(store))
    local id = jobs.create_job("chapter")
    start_nginx(serving(store), port)
    local function get(name, more) return curl(port, "jobs/" .. name, more) end
    wait_until(function() return get(id) ~= "" end, "nginx to answer")
    local answer = get(id)
    assert.truthy(answer:find("200 OK", 1, true), answer)
    assert.truthy(answer:find(jobs.get_json(id), 1, true), answer)
    local tag = assert(answer:match('ETag: ("%d+")'))
    assert.truthy(get(id, "-H 'If-None-Match: " .. tag .. "'"):find("304 Not Modified", 1, true))
    assert.truthy(get("chapter_00000000"):find("404 Not Found", 1, true))
    assert.matches("400 Bad Request.*application/problem%+json",
      get(id, ("-H X:%s"):format(("x"):rep(9000))))
    assert.truthy(curl(port, assert(readme:match("metrics_path: /(%S+)"))):find("200 OK", 1, true))
    jobs.close()
  end)

  it("has commands that ask for the list, for a change, and for a stream", function()
    local store, port = store_file.path(), process.free_port()
    local jobs = assert(require("job_tracker").JobTracker.open(store))
    local id = jobs.create_job("chapter")
    start_nginx(serving(store), port)
    local commands = {}
    for line in readme:match("programs ask:\n\n```sh\n(.-)```"):gmatch("[^\n]+") do
      commands[#commands + 1] = line:match("^(curl .-)%s+#")
    end
    local list, change, stream = (table.unpack or unpack)(commands)
    wait_until(function() return output_of(list, port, {}) ~= "" end, "nginx to answer")
    local version = tostring(jobs.version())
    local found = output_of(list, port, {})
    assert.truthy(found:find('{"version":' .. version .. ',"counts":{', 1, true), found)
    assert.truthy(found:find('"jobs":[{"task_id":"' .. id .. '"', 1, true), found)
    local tag = { ["<id>"] = id, ['"7"'] = '"' .. version .. '"', ["wait=20"] = "wait=0.1" }
    assert.matches("304 Not Modified", output_of(change, port, tag))
    assert(jobs.update_job(id, { status = "completed" }))
    found = output_of(change, port, tag)
    assert.truthy(found:find(jobs.get_json(id), 1, true), found)
    assert.matches('200 OK.*ETag: "' .. jobs.version() .. '"', found)
    found = output_of(stream, port, { ["<id>"] = id })
    assert.matches("\nid: " .. jobs.version() .. '\ndata: {"task_id":.*\nevent: end\n', found)
    jobs.close()
  end)

  it("says how a base is reached without its last slash", function()
    local store, port = store_file.path(), process.free_port()
    require("job_tracker").JobTracker.open(store).close()
    local redirect = assert(readme:match("`(location = /progress { .- })`"))
    local http = serving(store):gsub("page = true", 'base = "/progress/", page = true')
      :gsub("location / {", redirect .. " location /progress/ {")
    start_nginx(http, port)
    wait_until(function() return curl(port, "progress") ~= "" end, "nginx to answer")
    -- Without host and port: a proxy in front of this has others.
    assert.matches("301 Moved Permanently.*\nLocation: /progress/\r\n", curl(port, "progress"))
    assert.truthy(curl(port, "progress/jobs"):find("200 OK", 1, true))
  end)

  it("has an nginx example that runs a job, to be cancelled", function()
    local port = process.free_port()
    local rest, replaced = setup:gsub("init_by_lua_block {.-\n}\n", "", 1)
    assert.equal(1, replaced)
    local own = assert(runs_jobs):gsub('"/dev/shm/[^"]*"', ("%q"):format(store_file.path()))
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

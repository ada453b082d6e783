-- nginx with resty.job_tracker as a spec wants it: the options of setup as Lua text, more
-- directives where they are needed, and what all answers are measured by. Knows the
-- configuration and problem documents; what is asked is the specs' concern.

local cjson = require "cjson"
local nginx_server = require "nginx_server"
local assert = require "luassert"

local status_server = {}

---@class StatusServerOptions
---@field setup string? the options of setup, without braces
---@field store string? the path of a store file; default: in memory
---@field init string? Lua text that comes before setup
---@field workers integer? default 2
---@field daemon boolean? for 'upgrade'
---@field main string? directives
---@field events string? directives
---@field http string? directives
---@field server string? directives, locations for one
---@field root string? the folder that has src/; default: the project's

local TEMPLATE = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes %d;
# A binary upgrade hands on what is named here alone; a build under a sanitizer needs these.
env LD_PRELOAD;
env ASAN_OPTIONS;
pid ../../build/openresty/nginx.pid;
error_log ../../build/openresty/error.log warn;
%s
events { %s }
http {
  access_log off;
  client_body_temp_path ../../build/openresty/client_body;
  fastcgi_temp_path ../../build/openresty/fastcgi;
  proxy_temp_path ../../build/openresty/proxy;
  scgi_temp_path ../../build/openresty/scgi;
  uwsgi_temp_path ../../build/openresty/uwsgi;
  lua_package_path "%s/src/?.lua;;";
  lua_package_cpath "$prefix/../../build/luajit/?.so;;";
  lua_shared_dict job_tracker 1m;
  lua_check_client_abort on;
  %s
  init_by_lua_block {
    %s
    require("resty.job_tracker").setup { %s %s }
  }
  init_worker_by_lua_block { require("resty.job_tracker").init_worker() }
  server {
    listen 127.0.0.1:%d;
    server_tokens off;
    add_header X-Worker $pid always;
    location / { content_by_lua_block { require("resty.job_tracker").handle() } }
    error_page 400 403 404 405 413 414 500 501 503 505 /problem;
    error_page 494 =400 /problem;
    location = /problem {
      internal;
      content_by_lua_block { require("resty.job_tracker").problem_page() }
    }
    %s
  }
}
]]

---The text of a configuration.
---@param options StatusServerOptions
---@param port integer
---@return string
function status_server.text(options, port)
  local store = options.store and ("store = %q,"):format(options.store) or ""
  return TEMPLATE:format(options.workers or 2, options.main or "", options.events or "",
    options.root or nginx_server.root, options.http or "", options.init or "", store, options.setup or "", port,
    options.server or "")
end

---Starts nginx and waits until it answers.
---@param options StatusServerOptions
---@return NginxServer
function status_server.start(options)
  return nginx_server.start_with(options.workers or 2, function(port)
    return status_server.text(options, port)
  end, options.daemon)
end

status_server.stop_all = nginx_server.stop_all

local TITLES = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [409] = "Conflict", [411] = "Length Required", [413] = "Content Too Large",
  [414] = "URI Too Long", [415] = "Unsupported Media Type", [422] = "Unprocessable Content",
  [429] = "Too Many Requests", [500] = "Internal Server Error", [501] = "Not Implemented",
  [503] = "Service Unavailable", [505] = "HTTP Version Not Supported",
}

---Expects a problem document that tells nothing of the machine.
---@param status integer
---@param response Response
---@param what string?
function status_server.expect_problem(status, response, what)
  assert.equal(status, response.status, what)
  assert.equal("application/problem+json", response.headers["content-type"], what)
  assert.equal(tostring(#response.body), response.headers["content-length"], what)
  local problem = cjson.decode(response.body)
  assert.equal("about:blank", problem.type, what)
  assert.equal(status, problem.status, what)
  assert.equal(TITLES[status] or "Error", problem.title, what)
  assert.matches("^%a.*%.$", problem.detail) -- a sentence
  for _, leak in ipairs({ ".lua", "traceback", nginx_server.root, "/tmp/" }) do
    assert.is_nil(response.body:find(leak, 1, true), what)
  end
end

---Expects the same workers as before, and nothing in the log that is an error.
---@param server NginxServer
---@param workers integer[] those before
function status_server.expect_unharmed(server, workers)
  assert.same(workers, server:workers())
  -- What nginx itself says of a client, at the level of an error.
  local log = server:log():gsub("[^\n]*client sent invalid chunked body[^\n]*\n", "")
  for _, word in ipairs({ "signal", "[error]", "[alert]", "[crit]" }) do
    local at = log:find(word, 1, true)
    assert.is_nil(at, at and log:sub(math.max(1, at - 100), at + 400))
  end
end

return status_server

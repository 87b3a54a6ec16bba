{{- define "unitcost.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 46 characters: names of what belongs to it are longer by up to 17. */}}
{{- define "unitcost.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else if contains (include "unitcost.name" .) .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "unitcost.name" .) | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "unitcost.selector" -}}
app.kubernetes.io/name: {{ include "unitcost.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "unitcost.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "unitcost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: unitcost
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "suffix" "" "namespace" "" "labels" (dict) "annotations" (dict)) */}}
{{- define "unitcost.metadata" -}}
name: {{ include "unitcost.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ default .root.Release.Namespace .namespace }}
labels:
{{- /* One map, so that a label of one's own takes the place of one that is here. */}}
{{- $labels := mergeOverwrite (include "unitcost.labels" .root | fromYaml) (deepCopy (default dict .labels)) }}
  {{- toYaml $labels | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "unitcost.serviceAccount" -}}
{{- $default := ternary (include "unitcost.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $default .Values.serviceAccount.name -}}
{{- end -}}

{{- define "unitcost.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The port of web.listen, as the server reads it: host:port, :port. */}}
{{- define "unitcost.port" -}}
{{- $listen := dig "web" "listen" "0.0.0.0:9488" .Values.config | toString -}}
{{- $port := regexFind "[0-9]+$" $listen -}}
{{- if not $port -}}
{{- fail (printf "config.web.listen: %s must end with a port that the chart can read, such as 0.0.0.0:9488" $listen) -}}
{{- end -}}
{{- $host := trimSuffix (printf ":%s" $port) $listen -}}
{{- if has $host (list "127.0.0.1" "localhost" "[::1]") -}}
{{- fail (printf "config.web.listen: %s is reached from inside of the pod only; write 0.0.0.0:%s" $listen $port) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{- define "unitcost.stateDir" -}}
{{- $folder := dig "state_dir" "/var/lib/unitcost" .Values.config -}}
{{- if not (hasPrefix "/" $folder) -}}
{{- fail (printf "config.state_dir: %s must be a whole path, where the chart mounts the ledger's volume" $folder) -}}
{{- end -}}
{{- $folder -}}
{{- end -}}

{{/* A probe: (dict "root" $ "path" "/-/healthy" "times" .Values.probes.liveness) */}}
{{- define "unitcost.probe" -}}
{{- if and .root.Values.probes.exec (eq .path "/-/healthy") -}}
exec:
  command: [unitcost, healthy, --config, /etc/unitcost/unitcost.yaml]
{{- else if .root.Values.probes.exec -}}
{{- /* A kubelet has no client certificate; that the port is open is all that it can find out. */ -}}
tcpSocket:
  port: http
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" .root.Values.tls }}
{{- end }}
{{ toYaml .times }}
{{- end -}}

{{/* What a ServiceMonitor's and a PodMonitor's endpoint have in common. */}}
{{- define "unitcost.endpoint" -}}
port: http
path: /metrics
scheme: {{ ternary "https" "http" .root.Values.tls }}
interval: {{ .scrape.interval }}
scrapeTimeout: {{ .scrape.scrapeTimeout }}
honorLabels: true
{{- with .scrape.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .scrape.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .scrape.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .scrape.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Environment and mounts of everything that runs unitcost. */}}
{{- define "unitcost.surroundings" -}}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/unitcost
    readOnly: true
  - name: state
    mountPath: {{ include "unitcost.stateDir" . }}
  - name: tmp
    mountPath: /tmp
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

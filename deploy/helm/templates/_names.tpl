{{- define "sluice.name" -}}
{{- if contains "sluice" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-sluice" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* As the dependency names its service. */}}
{{- define "sluice.servers" -}}
{{- .Values.cluster.servers | default (printf "nats://%s:4222" (contains "nats" .Release.Name | ternary .Release.Name (printf "%s-nats" .Release.Name))) }}
{{- end }}

{{- /* The Secret with the credentials for the directory; empty if the servers need none. */}}
{{- define "sluice.credentials" -}}
{{- if .Values.cluster.credentialsSecret }}{{ .Values.cluster.credentialsSecret }}{{ else if and .Values.nats.enabled (not .Values.cluster.servers) }}sluice-directory{{ end }}
{{- end }}

{{- /* The Secret with what relays show each other. */}}
{{- define "sluice.nodeSecret" -}}
{{- .Values.cluster.nodeSecret | default (printf "%s-nodes" (include "sluice.name" .)) }}
{{- end }}

{{- /* The Secret with the admin token; empty if there is none. */}}
{{- define "sluice.tokenSecret" -}}
{{- if .Values.monitoring.tokenSecret }}{{ .Values.monitoring.tokenSecret }}{{ else if hasKey .Values.secrets .Values.monitoring.tokenKey }}{{ include "sluice.name" . }}{{ else }}{{ .Values.existingSecret }}{{ end }}
{{- end }}

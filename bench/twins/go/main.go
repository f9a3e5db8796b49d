// A Go service as a team would write it: net/http and a pgx pool, one statement a payment, the same rows as PayFlow.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var exponents = map[string]float64{"EUR": 100, "USD": 100, "JPY": 1}

type payment struct {
	ID        string    `json:"id"`
	Amount    float64   `json:"amount"`
	Currency  string    `json:"currency"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
}

type server struct {
	pool   *pgxpool.Pool
	insert string
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 65536))
	asked := payment{Currency: "EUR"}
	if err != nil || json.Unmarshal(body, &asked) != nil || asked.Amount <= 0 || exponents[asked.Currency] == 0 {
		answer(w, http.StatusBadRequest, map[string]string{"error": "Invalid amount"})
		return
	}
	var random [12]byte
	_, _ = rand.Read(random[:])
	now := time.Now()
	made := payment{"pay_" + strconv.FormatInt(now.UnixMilli(), 36) + hex.EncodeToString(random[:]), asked.Amount,
		asked.Currency, "pending", now}
	fingerprint := sha256.Sum256(body)
	minor := int64(math.Round(asked.Amount * exponents[asked.Currency]))
	var id string
	err = s.pool.QueryRow(r.Context(), s.insert, made.ID, minor, made.Currency, now, r.Header.Get("Idempotency-Key"),
		fingerprint[:]).Scan(&id)
	switch err {
	case nil:
		answer(w, http.StatusCreated, made)
	case pgx.ErrNoRows:
		answer(w, http.StatusConflict, map[string]string{"error": "Key used before"})
	default:
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "Unavailable"})
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	found := payment{Status: "pending"}
	var minor int64
	err := s.pool.QueryRow(r.Context(), "SELECT id, amount_minor, currency, created_at FROM payments"+
		" WHERE account_id = 1 AND NOT livemode AND id = $1", r.PathValue("id")).
		Scan(&found.ID, &minor, &found.Currency, &found.CreatedAt)
	if err != nil {
		answer(w, http.StatusNotFound, map[string]string{"error": "Not found"})
		return
	}
	found.Amount = float64(minor) / exponents[found.Currency]
	answer(w, http.StatusOK, found)
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	size, err := strconv.Atoi(os.Getenv("POOL_SIZE"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = int32(size)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	insert, err := os.ReadFile(os.Getenv("SQL_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	s := &server{pool, string(insert)}
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "healthy"})
	})
	http.HandleFunc("POST /api/v1/payments", s.create)
	http.HandleFunc("GET /api/v1/payments/{id}", s.get)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
